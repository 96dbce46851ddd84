#include "polariscope/train/language_text.h"

#include "polariscope/base/embedded.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/fingerprint.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>

POLARISCOPE_EMBEDDED(polariscope_pages, text);

namespace polariscope::train {
namespace {

// None of a file that is not there, as shards of bytes and older ones have none.
std::vector<std::string> texts_in(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  try {
    return nlohmann::json::parse(read_file(file)).get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw Error("{} holds no list of texts", file.string());
  }
}

}  // namespace

LanguageText::LanguageText(const std::string& data) {
  if (data.empty()) {
    throw Error(
        "a language model needs data: a folder of token shards, which `polariscope tokenize` makes of text, or "
        "example");
  }
  if (data == "example") {
    bytes_ = embedded(polariscope_pages_text, polariscope_pages_text_end);
  } else {
    shards_.emplace(data);
    texts_ = texts_in(std::filesystem::path(data) / tasks::text::kTokenTexts);
  }
}

void LanguageText::verify() const {
  if (shards_) shards_->verify();
}

std::int64_t LanguageText::size() const { return shards_ ? shards_->size() : std::ssize(bytes_); }
std::int64_t LanguageText::vocabulary() const { return shards_ ? shards_->vocabulary() : 256; }
std::string LanguageText::fingerprint() const {
  return shards_ ? shards_->fingerprint() : fmt::format("{:016x}", polariscope::fingerprint(bytes_));
}

bool LanguageText::is_bytes() const { return !shards_ || shards_->index().tokenizer.starts_with("bytes,"); }

std::string LanguageText::text_of(std::int64_t token) const {
  if (is_bytes()) {
    const int byte = static_cast<int>(token);
    return std::isprint(byte) != 0 ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02X}", byte);
  }
  const bool known = token >= 0 && token < std::ssize(texts_) && !texts_[static_cast<std::size_t>(token)].empty();
  return known ? texts_[static_cast<std::size_t>(token)] : fmt::format("{}", token);
}

void LanguageText::read(std::int64_t first, std::span<std::int64_t> into) const {
  if (shards_) return shards_->read(first, into);
  std::ranges::transform(bytes_.substr(static_cast<std::size_t>(first), into.size()), into.begin(),
                         [](char byte) { return static_cast<unsigned char>(byte); });
}

}  // namespace polariscope::train
