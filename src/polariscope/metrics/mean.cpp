// Central sums merged pairwise: Chan, Golub and LeVeque 1983.
#include "polariscope/metrics/mean.h"

#include <cmath>
#include <limits>

namespace polariscope::metrics {

Mean Mean::of(std::int64_t count, double mean, double standard_deviation, std::int64_t left_out) {
  Mean made;
  made.left_out_ = left_out;
  if (count == 0) return made;
  made.count_ = count;
  made.mean_ = mean;
  made.squares_ = standard_deviation * standard_deviation * static_cast<double>(count);
  return made;
}

void Mean::add(double value) {
  if (!std::isfinite(value)) {
    ++left_out_;
    return;
  }
  ++count_;
  const double off = value - mean_;
  mean_ += off / static_cast<double>(count_);
  squares_ += off * (value - mean_);
}

void Mean::add(const Mean& other) {
  left_out_ += other.left_out_;
  if (other.count_ == 0) return;
  const auto ours = static_cast<double>(count_), theirs = static_cast<double>(other.count_);
  const double off = other.mean_ - mean_, share = theirs / (ours + theirs);
  mean_ += off * share;
  squares_ += other.squares_ + off * off * ours * share;
  count_ += other.count_;
}

double Mean::value() const { return count_ == 0 ? std::numeric_limits<double>::quiet_NaN() : mean_; }

double Mean::standard_deviation() const {
  return count_ == 0 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(squares_ / static_cast<double>(count_));
}

}  // namespace polariscope::metrics
