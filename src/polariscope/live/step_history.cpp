#include "polariscope/live/step_history.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::live {
namespace {

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
constexpr StepHistory::Cell kEmpty{.low = kNothing, .high = kNothing, .mean = kNothing, .finite = 0};

// Into the curve's last bucket; a curve that begins late has nothing in those before.
void put(StepHistory::Curve& curve, std::size_t buckets, double value) {
  curve.resize(buckets, kEmpty);
  const auto number = static_cast<float>(value);
  if (!std::isfinite(number)) return;
  curve.back() = together(curve.back(), {.low = number, .high = number, .mean = number, .finite = 1});
}

// Each bucket with the one after it.
template <class Value, class Join>
void join_pairs(std::vector<Value>& values, const Join& join) {
  for (std::size_t i = 0; 2 * i < values.size(); ++i) {
    const std::size_t second = 2 * i + 1;
    values[i] = second < values.size() ? join(values[2 * i], values[second]) : values[2 * i];
  }
  values.resize((values.size() + 1) / 2);
}

}  // namespace

StepHistory::Cell together(const StepHistory::Cell& one, const StepHistory::Cell& other) {
  if (one.finite == 0) return other;
  if (other.finite == 0) return one;
  const std::uint32_t finite = one.finite + other.finite;
  const double share = static_cast<double>(other.finite) / finite;
  return {.low = std::min(one.low, other.low),
          .high = std::max(one.high, other.high),
          .mean = static_cast<float>(one.mean + share * (static_cast<double>(other.mean) - one.mean)),
          .finite = finite};
}

template <class Visit>
void StepHistory::for_each_curve(const Visit& visit) {
  for (auto& [name, curve] : numbers_) visit(curve);
  for (auto& [name, curves] : heads_) {
    for (Curve& layer : curves.layers) visit(layer);
    for (std::vector<Curve>& layer : curves.heads) {
      for (Curve& head : layer) visit(head);
    }
  }
}

void StepHistory::halve() {
  join_pairs(first_steps_, [](std::int64_t first, std::int64_t) { return first; });
  join_pairs(last_steps_, [](std::int64_t, std::int64_t last) { return last; });
  for_each_curve([](Curve& curve) { join_pairs(curve, together); });
  width_ *= 2;
}

void StepHistory::begin_bucket(std::int64_t step) {
  if (buckets() == kMostBuckets) halve();
  first_steps_.push_back(step);
  last_steps_.push_back(step);
  in_last_ = 0;
}

void StepHistory::add(const runs::LoggedStep& step) {
  if (!last_steps_.empty() && step.step <= last_steps_.back()) return;
  if (buckets() == 0 || in_last_ == width_) begin_bucket(step.step);
  ++in_last_;
  last_steps_.back() = step.step;
  for (const runs::LoggedNumber& number : step.numbers) put(numbers_[number.name], buckets(), number.value);
  for (const runs::LoggedHeads& one : step.heads) {
    HeadCurves& curves = heads_[one.name];
    const std::size_t layers = std::max(curves.layers.size(), one.values.size());
    curves.layers.resize(layers);
    curves.heads.resize(layers);
    for (std::size_t layer = 0; layer < one.values.size(); ++layer) {
      put(curves.layers[layer], buckets(), runs::mean_of_finite(one.values[layer]));
      std::vector<Curve>& heads = curves.heads[layer];
      heads.resize(std::max(heads.size(), one.values[layer].size()));
      for (std::size_t head = 0; head < one.values[layer].size(); ++head) {
        put(heads[head], buckets(), one.values[layer][head]);
      }
    }
  }
  for_each_curve([this](Curve& curve) { curve.resize(buckets(), kEmpty); });
}

}  // namespace polariscope::live
