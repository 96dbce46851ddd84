#include "polariscope/runs/collapse_detector.h"

#include "polariscope/base/error.h"
#include "polariscope/base/quantiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

namespace polariscope::runs {
namespace {

// A batch of a hundred sequences reads the variance to some ten per cent: the mean of five steps is steady enough to
// tell growth by, and only as many steps late.
constexpr double kSmoothSteps = 5.0;

// Fewer gradients have no median to speak of: the first steps of a training are its wildest.
constexpr std::int64_t kFewestGradients = 5;

// A variance of zero (uniform attention) has no logarithm.
constexpr double kLeastVariance = 1e-30;

// The mean over the last `steps` or so; before there are as many, over all.
void smooth(double& mean, double value, std::int64_t read, double steps) {
  mean += (value - mean) / std::min(static_cast<double>(read), steps);
}

}  // namespace

MapShape map_shape(int layers, int heads, int tokens, bool causal) {
  double sum = 0.0;
  for (int row = 1; row <= tokens; ++row) sum += std::log(causal ? row : tokens);
  return {.layers = layers, .heads = heads, .uniform_entropy = sum / tokens, .rows = tokens};
}

std::string_view alarm_kind_name(AlarmKind kind) { return kind == AlarmKind::kCollapse ? "collapse" : "runaway"; }

std::string in_words(const Alarm& a) {
  const std::string where = fmt::format("layer {}, head {}", a.layer, a.head);
  if (a.kind == AlarmKind::kCollapse) {
    return fmt::format(
        "collapse under way in {}: entropy is {:.2g} of uniform attention's, ‖P‖_F {:.2f} of its ceiling, and the "
        "logit variance {:.2g} grows by {:.2g} % a step",
        where, a.relative_entropy, a.norm_share, a.logit_variance, 100.0 * std::expm1(a.variance_growth));
  }
  return fmt::format(
      "runaway in {}: the logit variance grew {:.2g}-fold to {:.2g} within {} steps, with a gradient {:.2g} times its "
      "median",
      where, a.variance_growth, a.logit_variance, CollapseDetector::kVarianceSteps, a.gradient_factor);
}

bool CollapseDetector::Episode::begins(bool sign, int steps, int quiet_steps) {
  on = sign ? on + 1 : 0;
  off = sign ? 0 : off + 1;
  if (off >= quiet_steps) told = false;
  if (told || on < steps) return false;
  told = true;
  return true;
}

CollapseDetector::CollapseDetector(const MapShape& shape, const AlarmThresholds& thresholds)
    : shape_(shape),
      thresholds_(thresholds),
      heads_(static_cast<std::size_t>(shape.layers) * static_cast<std::size_t>(shape.heads)) {}

double CollapseDetector::gradient_factor(double gradient_norm) const {
  if (gradients_kept_ < kFewestGradients) return 0.0;
  std::array<double, kGradientSteps> last = gradients_;
  const auto count = static_cast<std::size_t>(std::min<std::int64_t>(gradients_kept_, kGradientSteps));
  const double median = median_of(std::span(last).first(count));
  return median > 0.0 ? gradient_norm / median : 0.0;
}

void CollapseDetector::watch(Head& head, const HeadReading& reading, Alarm a, std::vector<Alarm>& alarms) const {
  const bool finite =
      std::isfinite(reading.entropy) && std::isfinite(reading.frobenius_norm) && std::isfinite(reading.logit_variance);
  if (!finite) return;
  const AlarmThresholds& t = thresholds_;
  const double log_variance = std::log(std::max(reading.logit_variance, kLeastVariance));

  // Against what was before this step: its own reading takes the place of the oldest.
  const auto kept = std::min<std::int64_t>(head.read, kVarianceSteps);
  const double least =
      *std::min_element(head.log_variances.begin(), head.log_variances.begin() + std::max<std::int64_t>(kept, 1));
  const double growth = kept > 0 ? log_variance - least : 0.0;
  head.log_variances[head.read % kVarianceSteps] = log_variance;

  ++head.read;
  smooth(head.entropy, reading.entropy / shape_.uniform_entropy, head.read, kSmoothSteps);
  smooth(head.norm, reading.frobenius_norm / std::sqrt(shape_.rows), head.read, kSmoothSteps);
  smooth(head.log_variance, log_variance, head.read, kSmoothSteps);
  a.relative_entropy = head.entropy;
  a.norm_share = head.norm;

  // What stands where this step's goes is kGrowthSteps old.
  double& oldest = head.smoothed[head.read % kGrowthSteps];
  const double slope = head.read > kGrowthSteps ? (head.log_variance - oldest) / kGrowthSteps : 0.0;
  oldest = head.log_variance;
  const bool collapses = head.entropy < t.relative_entropy && head.norm > t.norm_share &&
                         head.log_variance > std::log(t.collapse_variance) && slope > t.collapse_growth;
  if (head.collapse.begins(collapses, t.collapse_steps, t.quiet_steps)) {
    a.kind = AlarmKind::kCollapse;
    a.logit_variance = std::exp(head.log_variance);
    a.variance_growth = slope;
    alarms.push_back(a);
  }
  const bool runs_away = growth > std::log(t.runaway_growth) && reading.logit_variance > t.runaway_variance &&
                         a.gradient_factor > t.gradient_factor;
  if (head.runaway.begins(runs_away, 1, t.quiet_steps)) {
    a.kind = AlarmKind::kRunaway;
    a.logit_variance = reading.logit_variance;
    a.variance_growth = std::exp(growth);
    alarms.push_back(a);
  }
}

std::vector<Alarm> CollapseDetector::step(std::int64_t step, double gradient_norm,
                                          std::span<const HeadReading> readings) {
  if (readings.size() != heads_.size()) {
    throw Error("alarms: step {} has readings of {} heads, expected {}", step, readings.size(), heads_.size());
  }
  std::vector<Alarm> alarms;
  if (!std::isfinite(gradient_norm)) return alarms;
  const double factor = gradient_factor(gradient_norm);
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    const int at = static_cast<int>(i);
    watch(heads_[i], readings[i],
          {.step = step, .layer = at / shape_.heads + 1, .head = at % shape_.heads + 1, .gradient_factor = factor},
          alarms);
  }
  gradients_[gradients_kept_++ % kGradientSteps] = gradient_norm;
  return alarms;
}

// Every number of the state, in the order of state().
template <class Detector, class Visit>
void CollapseDetector::visit_state(Detector& detector, const Visit& visit) {
  visit(detector.gradients_kept_);
  for (auto& gradient : detector.gradients_) visit(gradient);
  for (auto& head : detector.heads_) {
    visit(head.read);
    visit(head.entropy);
    visit(head.norm);
    visit(head.log_variance);
    for (auto& variance : head.log_variances) visit(variance);
    for (auto& variance : head.smoothed) visit(variance);
    for (auto* episode : {&head.collapse, &head.runaway}) {
      visit(episode->on);
      visit(episode->off);
      visit(episode->told);
    }
  }
}

std::vector<double> CollapseDetector::state() const {
  std::vector<double> state;
  visit_state(*this, [&](const auto& number) { state.push_back(static_cast<double>(number)); });
  return state;
}

void CollapseDetector::restore(std::span<const double> state) {
  const std::size_t expected = this->state().size();
  if (state.size() != expected) {
    throw Error("alarms: a state of {} numbers, expected the {} of {} heads", state.size(), expected, heads_.size());
  }
  CollapseDetector restored = *this;
  std::size_t next = 0;
  visit_state(restored, [&](auto& number) {
    using Number = std::remove_reference_t<decltype(number)>;
    const double given = state[next++];
    constexpr double kMost = std::is_same_v<Number, bool> ? 1 : std::numeric_limits<int>::max();
    if (std::is_integral_v<Number> && !(given >= 0 && given <= kMost && given == std::floor(given))) {
      throw Error("alarms: number {} of the state is {}, where a count belongs: it is damaged", next, given);
    }
    number = static_cast<Number>(given);
  });
  *this = restored;
}

}  // namespace polariscope::runs
