#include "polariscope/tasks/text/text_encoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::tasks::text {

void TextEncoder::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (tokenizer_) return tokenizer_->encode(text, SpecialTokens::kNone, ids);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  ids.insert(ids.end(), bytes, bytes + text.size());
}

bool TextEncoder::encode_after(std::string_view text, std::size_t after, std::vector<std::int32_t>& ids) const {
  if (after == 0 || !tokenizer_) {
    encode(text.substr(after), ids);
    return true;
  }
  std::vector<std::int32_t> before;
  encode(text.substr(0, after), before);
  const auto begin = static_cast<std::ptrdiff_t>(ids.size());
  encode(text, ids);
  const std::size_t made = ids.size() - static_cast<std::size_t>(begin);
  if (!before.empty() && before.size() <= made && std::equal(before.begin(), before.end(), ids.begin() + begin)) {
    ids.erase(ids.begin() + begin, ids.begin() + begin + std::ssize(before));
    return true;
  }
  ids.resize(static_cast<std::size_t>(begin));
  encode(text.substr(after), ids);
  return false;
}

std::int64_t TextEncoder::vocabulary() const { return tokenizer_ ? tokenizer_->size() : 256; }

std::string TextEncoder::text_of(std::int32_t token) const {
  return tokenizer_ ? tokenizer_->text_of(token) : std::string(1, static_cast<char>(token));
}

std::string TextEncoder::describe() const { return tokenizer_ ? tokenizer_->describe() : "bytes, 256 tokens"; }

std::string TextEncoder::fingerprint() const {
  return fmt::format("{:016x}", tokenizer_ ? tokenizer_->fingerprint() : 0);
}

std::optional<TokenIndex::Separator> TextEncoder::separator() const {
  if (!tokenizer_) return std::nullopt;
  const auto token = tokenizer_->eos() ? tokenizer_->eos() : tokenizer_->bos();
  if (!token) return std::nullopt;
  return TokenIndex::Separator{*token, tokenizer_->text_of(*token)};
}

}  // namespace polariscope::tasks::text
