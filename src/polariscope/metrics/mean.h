// A mean with what it is worth: spread and count.
#pragma once

#include <cstdint>

namespace polariscope::metrics {

// Over the finite values added; the others are only counted, so that one undefined row does not hide the rest.
class Mean {
 public:
  Mean() = default;
  // Of numbers that were kept: `count` >= 0 values with this mean and standard deviation >= 0, and those left out.
  static Mean of(std::int64_t count, double mean, double standard_deviation, std::int64_t left_out = 0);

  void add(double value);
  void add(const Mean& other);  // as if its values had been added one by one

  double value() const;               // NaN without a finite value
  double standard_deviation() const;  // of the values at hand (population); NaN without any
  std::int64_t count() const { return count_; }
  std::int64_t left_out() const { return left_out_; }  // values that were NaN or infinite

 private:
  std::int64_t count_ = 0, left_out_ = 0;
  double mean_ = 0.0, squares_ = 0.0;  // squares: Σ (x - mean)²
};

}  // namespace polariscope::metrics
