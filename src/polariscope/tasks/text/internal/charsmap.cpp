#include "polariscope/tasks/text/internal/charsmap.h"

#include "polariscope/base/error.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <utf8proc.h>

#include <cstring>

namespace polariscope::tasks::text {
namespace {

constexpr std::string_view kBlank = "\u2581";
// Of nmt_nfkc, SentencePiece's own rules, the longest has 33 bytes.
constexpr std::size_t kLongestReplacement = 256;

// Darts-clone's units, https://github.com/s-yata/darts-clone: bit 31 and 8 bits of label, bit 8 "has a leaf", the rest
// the offset to the children, in units of 256 where bit 9 is set.
constexpr bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) == 1; }
constexpr std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFF; }
constexpr std::uint32_t label_of(std::uint32_t unit) { return unit & (1U << 31 | 0xFF); }
constexpr std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 1U << 9) >> 6); }

// A character and what is drawn with it.
std::size_t grapheme_length(std::string_view text, std::size_t at) {
  auto [before, length] = code_point_at(text, at);
  utf8proc_int32_t state = 0;
  while (at + length < text.size()) {
    const auto [after, more] = code_point_at(text, at + length);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before), static_cast<utf8proc_int32_t>(after),
                                         &state)) {
      break;
    }
    before = after;
    length += more;
  }
  return length;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  std::uint32_t trie_bytes = 0;
  if (bytes.size() >= 4) std::memcpy(&trie_bytes, bytes.data(), 4);
  if (bytes.size() < 8 || trie_bytes % 4 != 0 || trie_bytes < 4 || trie_bytes > bytes.size() - 4) {
    throw Error("{}: {} bytes are no compiled rules of normalisation: their trie would end outside", where,
                bytes.size());
  }
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), bytes.data() + 4, trie_bytes);
  replacements_ = bytes.substr(4 + trie_bytes);
  if (replacements_.empty() || replacements_.back() != '\0') replacements_.push_back('\0');
  for (std::size_t begin = 0; begin < replacements_.size();) {
    const std::size_t end = replacements_.find('\0', begin);
    if (end - begin > kLongestReplacement) {
      throw Error("{}: a rule replaces by {} bytes: expected at most {}", where, end - begin, kLongestReplacement);
    }
    begin = end + 1;
  }
}

Charsmap::Match Charsmap::find(std::string_view text, bool first) const {
  Match best{0, {}};
  std::size_t at = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) break;  // a unit that is not used has label 0
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    const std::uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (at >= units_.size()) break;
    if (!has_leaf(unit)) continue;
    const std::uint32_t place = value_of(units_[at]);
    if (place >= replacements_.size()) break;
    best = {i + 1, replacements_.c_str() + place};
    if (first) break;
  }
  return best;
}

void PrecompiledNormalizer::apply(std::string& text, MatchState&) const {
  // spm_precompiled looks up graphemes below this many bytes as a whole.
  constexpr std::size_t kShortGrapheme = 6;
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view grapheme = std::string_view(text).substr(at, grapheme_length(text, at));
    at += grapheme.size();
    if (grapheme.size() < kShortGrapheme) {
      if (const auto match = rules_.shortest(grapheme); match.length > 0) {
        result += match.replacement;
        continue;
      }
    }
    for (std::size_t i = 0; i < grapheme.size();) {
      const std::string_view one = grapheme.substr(i, code_point_at(grapheme, i).length);
      const auto match = rules_.shortest(one);
      result += match.length > 0 ? match.replacement : one;
      i += one.size();
    }
  }
  text = std::move(result);
}

SentencePieceNormalizer::SentencePieceNormalizer(SentencePieceRules rules) : rules_(std::move(rules)) {
  for (std::size_t i = 0; i < rules_.kept.size(); ++i) {
    if (!rules_.kept[i].empty()) kept_.insert(rules_.kept[i], static_cast<std::int32_t>(i));
  }
}

// normalizer.cc, Normalizer::Normalize.
void SentencePieceNormalizer::apply(std::string& text, MatchState&) const {
  // What stands at `at`, normalised, and how much of the text it is.
  const auto step = [&](std::size_t at) -> Charsmap::Match {
    if (const auto kept = kept_.longest(text, at); kept.length > 0) {
      return {kept.length, std::string_view(text).substr(at, kept.length)};
    }
    if (rules_.charsmap) {
      if (const auto match = rules_.charsmap->longest(text, at); match.length > 0) return match;
    }
    const std::size_t length = code_point_at(text, at).length;
    return {length, std::string_view(text).substr(at, length)};
  };
  const std::string_view space = rules_.escape_whitespaces ? kBlank : std::string_view(" ");
  std::size_t at = 0;
  while (rules_.remove_extra_whitespaces && at < text.size()) {
    const auto match = step(at);
    if (match.replacement != " ") break;
    at += match.length;
  }
  if (at == text.size()) return text.clear();
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  if (rules_.add_dummy_prefix && !rules_.blank_as_suffix) result += space;
  bool after_space = rules_.remove_extra_whitespaces;
  while (at < text.size()) {
    auto [length, part] = step(at);
    at += length;
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    for (const char byte : part) {
      if (byte == ' ') {
        result += space;
      } else {
        result += byte;
      }
    }
    after_space = rules_.remove_extra_whitespaces && part.ends_with(' ');
  }
  while (rules_.remove_extra_whitespaces && result.ends_with(space)) result.resize(result.size() - space.size());
  if (rules_.add_dummy_prefix && rules_.blank_as_suffix) result += space;
  text = std::move(result);
}

}  // namespace polariscope::tasks::text
