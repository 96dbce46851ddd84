// In-context linear regression: guess y of the last x from the examples before it. Lipschitz paper, section 5.
#pragma once

#include "polariscope/tasks/split.h"

#include <cstdint>
#include <span>

namespace polariscope::tasks {

// An example is one w ~ N(0, I) and tokens (x; y) with x ~ N(0, I), y = wᵀx; the last, the query, is (x; 0).
struct InContextRegressionOptions {
  int features = 3;  // of x; at least 1
  int tokens = 20;   // the query included; at least 2
};

// Throws Error for numbers below those.
void validate(const InContextRegressionOptions& options);

class InContextRegression {
 public:
  // Validates.
  InContextRegression(const InContextRegressionOptions& options, std::uint64_t seed, Split split);

  int tokens() const { return options_.tokens; }
  int width() const { return options_.features + 1; }

  // Examples [first, first + count). tokens: [count, tokens, width]; targets: y of the query, [count]. Throws Error for
  // sizes that do not fit. Safe to call at once from several threads.
  void fill(std::int64_t first, std::int64_t count, std::span<float> tokens, std::span<float> targets) const;

 private:
  InContextRegressionOptions options_;
  std::uint64_t seed_;
  Split split_;
};

}  // namespace polariscope::tasks
