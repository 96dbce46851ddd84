#include "polariscope/sweep/edge_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace polariscope::sweep {
namespace {

// A rate that a person reads and types is the one that was run.
double rounded(double rate) { return std::strtod(fmt::format("{:.4g}", rate).c_str(), nullptr); }

constexpr int kBracket = 2;  // runs: one on each side of the edge

}  // namespace

EdgeSearch::EdgeSearch(double first, double within) : first_(rounded(first)), within_(within) {}

std::optional<double> EdgeSearch::next() const {
  if (is_bracketed()) {
    if (collapsed_ <= held_ * within_) return std::nullopt;
    return rounded(std::sqrt(held_ * collapsed_));
  }
  if (runs_ == 0) return first_;
  if (runs_ > kMostFactors) return std::nullopt;
  return rounded(held_ > 0.0 ? held_ * kFactor : collapsed_ / kFactor);
}

void EdgeSearch::tell(bool collapsed) {
  const double rate = next().value();
  (collapsed ? collapsed_ : held_) = rate;
  ++runs_;
}

int EdgeSearch::halvings(double ratio) const {
  int count = 0;
  for (; ratio > within_; ratio = std::sqrt(ratio)) ++count;
  return count;
}

int EdgeSearch::planned() const { return kBracket + halvings(kFactor); }

int EdgeSearch::done() const {
  if (!next()) return planned();
  if (!is_bracketed()) return std::min(runs_, kBracket - 1);
  return planned() - std::max(1, halvings(collapsed_ / held_));
}

}  // namespace polariscope::sweep
