// Where a text that is too long for one piece may be cut so that its parts have the tokens they have in the whole.
#pragma once

#include "polariscope/tasks/text/text_encoder.h"

#include <cstddef>
#include <string_view>

namespace polariscope::tasks::text {

// What is looked at on both sides of a cut. Rules of published tokenizers see a few characters, a run of spaces or
// digits, or a word.
inline constexpr std::size_t kSurroundings = 512;  // bytes

struct TextCut {
  std::size_t at;       // byte of the text
  std::size_t context;  // the part behind is encoded after text[context, at)
  bool rough;           // no place was found where that gives the tokens of the whole
};

// A place from `low` > 0 to `high`, the later the better; the text goes on for kSurroundings behind it. Of ends of
// lines, ends of words and other places the first kind that has one where the tokens before the cut are the same
// whatever comes behind it: those of the surroundings before it begin those of all the surroundings.
TextCut cut_between(std::string_view text, std::size_t low, std::size_t high, const TextEncoder& encoder);

}  // namespace polariscope::tasks::text
