#include "polariscope/tasks/text/internal/text_cuts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace polariscope::tasks::text {
namespace {

constexpr int kMostTries = 32;  // of each kind, a hundred microseconds each

bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

bool begins_character(std::string_view text, std::size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80;
}

bool ends_word(std::string_view text, std::size_t at) {
  return at > 0 && is_space(text[at]) && !is_space(text[at - 1]);
}

bool ends_line(std::string_view text, std::size_t at) {
  if (!ends_word(text, at)) return false;
  for (; at < text.size() && is_space(text[at]); ++at) {
    if (text[at] == '\n') return true;
  }
  return false;
}

// In the order of preference: the earlier ones are borders for most tokenizers.
constexpr std::array kKinds = {ends_line, ends_word, begins_character};

// The first end of a word among the surroundings before `at`, or the first character.
std::size_t context_of(std::string_view text, std::size_t at) {
  std::size_t begin = at > kSurroundings ? at - kSurroundings : 0;
  for (std::size_t word = begin; word + kSurroundings / 4 < at; ++word) {
    if (ends_word(text, word)) return word;
  }
  while (begin < at && !begins_character(text, begin)) ++begin;
  return begin;
}

bool is_border(std::string_view text, std::size_t context, std::size_t at, const TextEncoder& encoder) {
  std::size_t end = std::min(at + kSurroundings, text.size());
  while (end > at && !begins_character(text, end)) --end;
  std::vector<std::int32_t> ids;
  return encoder.encode_after(text.substr(context, end - context), at - context, ids);
}

}  // namespace

TextCut cut_between(std::string_view text, std::size_t low, std::size_t high, const TextEncoder& encoder) {
  if (encoder.is_of_bytes()) return {high, high, false};
  std::optional<std::size_t> rough;
  for (const auto is_place : kKinds) {
    int tries = 0;
    for (std::size_t at = high; at >= low && tries < kMostTries; --at) {
      if (!is_place(text, at)) continue;
      ++tries;
      const std::size_t context = context_of(text, at);
      if (context < at && is_border(text, context, at, encoder)) return {at, context, false};
      if (!rough) rough = at;
    }
  }
  return {rough.value_or(high), rough.value_or(high), true};
}

}  // namespace polariscope::tasks::text
