// GPT-2's expression by hand: five times as fast as PCRE2's machine code for it, which would take two thirds of the
// time of tokenising English.
#pragma once

#include "polariscope/tasks/text/internal/pre_tokenizer.h"

namespace polariscope::tasks::text {

inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Cuts text into the matches of kGpt2Pattern, which leave nothing out.
class Gpt2PreTokenizer : public PreTokenizer {
 public:
  void split(Piece piece, MatchState& state, PieceTaker& taker) const override;
};

// Matches of `expression` and what is between them; by hand where that is GPT-2's.
PreTokenizerPart isolated_matches(const std::string& expression, const std::string& where);

}  // namespace polariscope::tasks::text
