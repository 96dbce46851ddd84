// Induction heads: what followed a token when it was last seen. Polarisation paper, section 4.1 and appendix E.
#pragma once

#include "polariscope/tasks/split.h"

#include <cstdint>
#include <span>

namespace polariscope::tasks {

// A sequence is BOS (token 0), sequence_length - 3 different tokens of [1, vocabulary), a repeat of one of them, and
// the answer: what followed that one. After the last of them comes the repeat, so there the answer is the repeat
// itself.
struct InductionOptions {
  int vocabulary = 50;             // of the tokens that are drawn, BOS included
  int sequence_length = 13;        // at least 4
  bool shift_query_token = false;  // the repeat is written as token + vocabulary
};

// Throws Error where a sequence is too short or needs more tokens than the vocabulary has.
void validate(const InductionOptions& options);

class Induction {
 public:
  // Validates.
  Induction(const InductionOptions& options, std::uint64_t seed, Split split);

  // Tokens a model has to know: twice the vocabulary where the repeat is shifted.
  int vocabulary() const { return options_.shift_query_token ? 2 * options_.vocabulary : options_.vocabulary; }
  int input_length() const { return options_.sequence_length - 1; }

  // Examples [first, first + count). tokens: [count, input_length], all of the sequence but its answer; targets:
  // [count, input_length], the token after each, the answer last. Token is std::int32_t or std::int64_t.
  // Throws Error for sizes that do not fit. Safe to call at once from several threads.
  template <class Token>
  void fill(std::int64_t first, std::int64_t count, std::span<Token> tokens, std::span<Token> targets) const;

 private:
  InductionOptions options_;
  std::uint64_t seed_;
  Split split_;
};

}  // namespace polariscope::tasks
