#include "polariscope/report/internal/thin.h"

#include <algorithm>
#include <cmath>

namespace polariscope::report {
namespace {

double place(double x, Scale scale) {
  switch (scale) {
    case Scale::kLog: return std::log(x);
    case Scale::kSymlog: return std::copysign(std::log1p(std::abs(x)), x);
    case Scale::kLinear: break;
  }
  return x;
}

struct Stretch {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t smallest = kNone, largest = kNone, gap = kNone;
};

}  // namespace

bool drawable(double number, Scale scale) { return std::isfinite(number) && (scale != Scale::kLog || number > 0); }

std::vector<std::size_t> thin(std::span<const double> x, std::span<const double> y, Scale x_scale, Scale y_scale,
                              std::size_t most) {
  std::vector<std::size_t> placed;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (drawable(x[i], x_scale)) placed.push_back(i);
  }
  if (placed.size() <= most || placed.size() <= 4) return placed;

  double first = place(x[placed.front()], x_scale);
  double last = first;
  for (const std::size_t i : placed) {
    first = std::min(first, place(x[i], x_scale));
    last = std::max(last, place(x[i], x_scale));
  }
  const std::size_t count = std::max<std::size_t>(1, most / 2);
  std::vector<Stretch> stretches(count);
  for (const std::size_t i : placed) {
    // Halves, because last - first overflows when an axis spans the doubles from end to end.
    const double share = last > first ? (place(x[i], x_scale) / 2 - first / 2) / (last / 2 - first / 2) : 0.0;
    const auto which = std::min(count - 1, static_cast<std::size_t>(share * static_cast<double>(count)));
    Stretch& stretch = stretches[which];
    if (!drawable(y[i], y_scale)) {
      if (stretch.gap == Stretch::kNone) stretch.gap = i;
      continue;
    }
    if (stretch.smallest == Stretch::kNone || y[i] < y[stretch.smallest]) stretch.smallest = i;
    if (stretch.largest == Stretch::kNone || y[i] > y[stretch.largest]) stretch.largest = i;
  }

  std::vector<std::size_t> kept = {placed.front(), placed.back()};
  for (const Stretch& stretch : stretches) {
    if (stretch.smallest != Stretch::kNone) {
      kept.push_back(stretch.smallest);
      kept.push_back(stretch.largest);
    } else if (stretch.gap != Stretch::kNone) {
      kept.push_back(stretch.gap);
    }
  }
  std::ranges::sort(kept);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

std::vector<std::size_t> thin_points(std::span<const double> x, std::span<const double> y, Scale x_scale, Scale y_scale,
                                     std::size_t most) {
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (drawable(x[i], x_scale) && drawable(y[i], y_scale)) kept.push_back(i);
  }
  const std::size_t step = kept.size() / std::max<std::size_t>(1, most) + 1;
  std::vector<std::size_t> sparse;
  for (std::size_t i = 0; i < kept.size(); i += step) sparse.push_back(kept[i]);
  return sparse;
}

}  // namespace polariscope::report
