// Ridge logistic regression: the probability of one of two outcomes from a few numbers.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace polariscope::sweep {

struct Example {
  std::vector<double> signs;  // finite, as many in all examples
  bool outcome = false;
};

class Logistic {
 public:
  // Minimises Σ log(1 + e^(-yf)) + |w|²/2 with y = ±1, f = b + w·(signs - mean)/deviation, by Newton's method, to
  // the last digits. examples: of both outcomes.
  static Logistic fit(std::span<const Example> examples);

  double probability(std::span<const double> signs) const;
  // Of each sign, for one standard deviation of it: what it adds to the logarithm of the odds.
  const std::vector<double>& weights() const { return weights_; }

 private:
  std::vector<double> mean_, deviation_, weights_;
  double intercept_ = 0.0;
};

}  // namespace polariscope::sweep
