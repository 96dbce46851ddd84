#include "polariscope/tasks/text/internal/normalizer.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <utf8proc.h>

#include <cstdlib>

namespace polariscope::tasks::text {
namespace {

// `map(result, character)` for each character of `text`.
template <class Map>
void map_characters(std::string& text, const Map& map) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [value, length] = code_point_at(text, at);
    map(result, value);
    at += length;
  }
  text = std::move(result);
}

// What utf8proc makes of `part`, appended to `result`.
void append_normalised(std::string& result, std::string_view part, UnicodeForm form) {
  unsigned options = UTF8PROC_STABLE;
  options |= form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(part.data()), static_cast<utf8proc_ssize_t>(part.size()),
                   &mapped, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  if (length < 0) throw Error("text of {} bytes: Unicode normalisation: {}", part.size(), utf8proc_errmsg(length));
  result.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
}

// Characters that are their own NFC whatever of these stands before or behind: below the combining marks, quotation
// marks and dashes, Chinese.
bool is_plain_in_nfc(char32_t c) { return c < 0x300 || (c >= 0x2010 && c <= 0x2027) || (c >= 0x4E00 && c <= 0x9FFF); }

// ASCII is its own normal form in all four, and composes with what follows at most: so each run of other characters is
// normalised by itself, with the one ASCII character before it.
void normalise(std::string& text, UnicodeForm form) {
  std::string result;
  std::size_t copied = 0;
  for (std::size_t at = end_of_ascii(text, 0); at < text.size(); at = end_of_ascii(text, at)) {
    const std::size_t begin = at == 0 ? 0 : at - 1;
    bool plain = form == UnicodeForm::kNfc;
    while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80) {
      const auto [value, length] = code_point_at(text, at);
      plain = plain && is_plain_in_nfc(value);
      at += length;
    }
    if (plain) continue;
    // One ASCII character between two runs belongs to the second alone.
    result.append(text, copied, begin - copied);
    append_normalised(result, std::string_view(text).substr(begin, at - begin), form);
    copied = at;
  }
  if (copied == 0) return;
  text = std::move(result.append(text, copied));
}

// SentencePiece's nmt_nfkc rules, as Hugging Face's "Nmt" has them.
bool nmt_drops(char32_t c) {
  return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}
bool nmt_is_space(char32_t c) {
  return c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
         c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

}  // namespace

void NormalizerSequence::apply(std::string& text, MatchState& state) const {
  // U+FDFA becomes 18 characters by NFKC, the worst of all.
  const std::size_t most = text.size() * 64 + 4096;
  for (const NormalizerPart& part : parts_) {
    part->apply(text, state);
    if (text.size() > most) throw Error("a normalizer makes {} bytes of a text that may become {}", text.size(), most);
  }
}

void UnicodeNormalizer::apply(std::string& text, MatchState&) const { normalise(text, form_); }

void CharacterNormalizer::apply(std::string& text, MatchState&) const {
  map_characters(text, [&](std::string& result, char32_t c) {
    switch (map_) {
      case CharacterMap::kLowercase: append_lower(result, c); break;
      case CharacterMap::kStripAccents:
        if (!is_mark(c)) append_utf8(result, c);
        break;
      case CharacterMap::kNmt:
        if (!nmt_drops(c)) append_utf8(result, nmt_is_space(c) ? U' ' : c);
        break;
    }
  });
}

void BertNormalizer::apply(std::string& text, MatchState&) const {
  map_characters(text, [&](std::string& result, char32_t c) {
    if (options_.clean_text) {
      if (c == 0 || c == kReplacement || is_control(c)) return;
      if (is_white_space(c)) c = U' ';
    }
    if (options_.chinese && is_chinese(c)) {
      result += ' ';
      append_utf8(result, c);
      result += ' ';
    } else {
      append_utf8(result, c);
    }
  });
  if (options_.strip_accents && !is_ascii(text)) {
    normalise(text, UnicodeForm::kNfd);
    map_characters(text, [](std::string& result, char32_t c) {
      if (!is_nonspacing_mark(c)) append_utf8(result, c);
    });
  }
  if (options_.lowercase) map_characters(text, append_lower);
}

void ReplaceNormalizer::apply(std::string& text, MatchState& state) const {
  std::string result;
  std::size_t copied = 0;
  if (pattern_) {
    Span match{};
    for (std::size_t at = 0; at <= text.size() && pattern_->find(text, at, state, match);) {
      // A match of nothing replaces nothing.
      if (match.end == match.begin) {
        if (match.end >= text.size()) break;
        at = match.end + code_point_at(text, match.end).length;
        continue;
      }
      result.append(text, copied, match.begin - copied).append(to_);
      at = copied = match.end;
    }
  } else {
    for (std::size_t at = text.find(from_); at != std::string::npos; at = text.find(from_, copied)) {
      result.append(text, copied, at - copied).append(to_);
      copied = at + from_.size();
    }
  }
  if (copied == 0) return;
  text = std::move(result.append(text, copied));
}

void PrependNormalizer::apply(std::string& text, MatchState&) const {
  if (!text.empty()) text.insert(0, text_);
}

void StripNormalizer::apply(std::string& text, MatchState&) const {
  std::size_t begin = 0;
  while (left_ && begin < text.size()) {
    const auto [value, length] = code_point_at(text, begin);
    if (!is_white_space(value)) break;
    begin += length;
  }
  std::size_t end = text.size();
  while (right_ && end > begin) {
    const std::size_t before = code_point_before(text, end);
    if (!is_white_space(code_point_at(text, before).value)) break;
    end = before;
  }
  text = text.substr(begin, end - begin);
}

}  // namespace polariscope::tasks::text
