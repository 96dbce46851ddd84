// Token influence: which of four groups do ten tokens come from? Polarisation paper, section 4.2 and appendix E.3.
#pragma once

#include "polariscope/tasks/split.h"

#include <cstdint>
#include <span>

namespace polariscope::tasks {

// Label l owns tokens 1 + l·g to (l + 1)·g, g = (vocabulary - 1)/labels. A sequence is `tokens` different ones of its
// label's, then CLS (token 0). Where g = tokens, sequences of a label differ in order alone.
struct TokenGroupsOptions {
  int vocabulary = 81;  // CLS included; the paper has 41, 81 and 161
  int labels = 4;       // at least 2
  int tokens = 10;      // of a sequence, CLS not counted; at least 1
};

// Throws Error where the groups would not be of one size, or are smaller than a sequence.
void validate(const TokenGroupsOptions& options);

class TokenGroups {
 public:
  // Validates.
  TokenGroups(const TokenGroupsOptions& options, std::uint64_t seed, Split split);

  int vocabulary() const { return options_.vocabulary; }
  int labels() const { return options_.labels; }
  int input_length() const { return options_.tokens + 1; }

  // Examples [first, first + count). tokens: [count, input_length]; targets: labels, [count]. Token is std::int32_t or
  // std::int64_t. Throws Error for sizes that do not fit. Safe to call at once from several threads.
  template <class Token>
  void fill(std::int64_t first, std::int64_t count, std::span<Token> tokens, std::span<Token> targets) const;

 private:
  TokenGroupsOptions options_;
  std::uint64_t seed_;
  Split split_;
};

}  // namespace polariscope::tasks
