#include "polariscope/tasks/text/internal/gpt2_cuts.h"

#include "polariscope/tasks/text/internal/characters.h"
#include "polariscope/tasks/text/internal/utf8.h"

#include <array>

namespace polariscope::tasks::text {
namespace {

enum class Kind : unsigned char { kLetter, kNumber, kOther, kSpace };

constexpr std::array<Kind, 128> kAsciiKinds = [] {
  std::array<Kind, 128> kinds{};
  for (std::size_t c = 0; c < kinds.size(); ++c) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_space = (c >= 0x09 && c <= 0x0D) || c == ' ';
    kinds[c] = is_letter ? Kind::kLetter : is_digit ? Kind::kNumber : is_space ? Kind::kSpace : Kind::kOther;
  }
  return kinds;
}();

struct Character {
  Kind kind;
  std::size_t length;
};

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {kAsciiKinds[byte], 1};
  const auto [value, length] = code_point_at(text, at);
  if (is_white_space(value)) return {Kind::kSpace, length};
  if (is_letter(value)) return {Kind::kLetter, length};
  return {is_numeric(value) ? Kind::kNumber : Kind::kOther, length};
}

// Where the characters of `kind` from `at` on end.
std::size_t end_of_run(std::string_view text, std::size_t at, Kind kind) {
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (next.kind != kind) break;
    at += next.length;
  }
  return at;
}

// Length of 's|'t|'re|'ve|'m|'ll|'d at `at`, 0 where there is none.
std::size_t contraction_at(std::string_view text, std::size_t at) {
  const std::string_view next = text.substr(at, 3);
  if (next.size() < 2) return 0;
  if (next[1] == 's' || next[1] == 't' || next[1] == 'm' || next[1] == 'd') return 2;
  return next == "'re" || next == "'ve" || next == "'ll" ? 3 : 0;
}

// The end of the match that begins at `at`.
std::size_t end_of_match(std::string_view text, std::size_t at) {
  if (text[at] == '\'') {
    if (const std::size_t length = contraction_at(text, at); length > 0) return at + length;
  }
  const Character first = character_at(text, at);
  if (first.kind != Kind::kSpace) return end_of_run(text, at + first.length, first.kind);
  const std::size_t after = at + first.length;
  if (after == text.size()) return after;
  const Character second = character_at(text, after);
  if (second.kind != Kind::kSpace) {
    // " ?" takes a space, no other white space.
    return text[at] == ' ' ? end_of_run(text, after + second.length, second.kind) : after;
  }
  // \s+(?!\S): the last of several stays for what follows.
  const std::size_t end = end_of_run(text, after, Kind::kSpace);
  return end == text.size() ? end : code_point_before(text, end);
}

}  // namespace

void Gpt2PreTokenizer::split(Piece piece, MatchState&, PieceTaker& taker) const {
  const std::string_view text = piece.text;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_match(text, at);
    taker.take({text.substr(at, end - at), piece.begins_text && at == 0});
    at = end;
  }
}

PreTokenizerPart isolated_matches(const std::string& expression, const std::string& where) {
  if (expression == kGpt2Pattern) return std::make_unique<Gpt2PreTokenizer>();
  return std::make_unique<PatternPreTokenizer>(SplitPattern(expression, where), Delimiter::kIsolated, false);
}

}  // namespace polariscope::tasks::text
