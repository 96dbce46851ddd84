// Corollary of lemma 3.5: under square loss the strength is finite and the weights stop short of one-hot.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr std::array<std::string_view, 2> kChecks{"A.c1/strength", "A.c1/not-one-hot"};
constexpr std::array<int, 4> kSizes{2, 4, 8, 16};
constexpr std::array<double, 3> kScales{0.01, 0.1, 1.0};
constexpr double kStep = 0.1;
constexpr std::int64_t kSteps = 2'000;
constexpr int kShownSize = 8;
constexpr double kShownScale = 0.1;
// The fitted part of the loss: past the plateau at the start, before rounding.
constexpr double kFitFrom = 1e-3;
constexpr double kFitTo = 1e-20;

// −d log L/dt by least squares over the records between the two levels of L/L(0), and how straight it is.
struct Decay {
  double rate, r_square;
};
Decay decay_of(const flow::Trajectory& t) {
  double points = 0.0, x_mean = 0.0, y_mean = 0.0, xx = 0.0, xy = 0.0, yy = 0.0;
  for (std::size_t n = 0; n < t.points(); ++n) {
    const double level = t.loss[n] / t.loss.front();
    if (level > kFitFrom || level < kFitTo) continue;
    points += 1.0;
    const double dx = t.t[n] - x_mean;
    const double dy = std::log(level) - y_mean;
    x_mean += dx / points;
    y_mean += dy / points;
    xx += dx * (t.t[n] - x_mean);
    xy += dx * (std::log(level) - y_mean);
    yy += dy * (std::log(level) - y_mean);
  }
  return {-xy / xx, xy * xy / (xx * yy)};
}

// Smallest log(L(0)/L(t)) / (2t/k) over the records before rounding: at least 1 where L(t) ≤ L(0) exp(−2t/k), which
// is lemma D.2 with ‖σ‖² ≥ 1/k, integrated. A straight log L would ask for more than the paper says: a loss is
// the sum of several exponentials, and bends where a fast one hands over to a slow one.
double decay_against_bound(const flow::Trajectory& t) {
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < t.points() && t.loss[n] >= kFitTo * t.loss.front(); ++n) {
    smallest = std::min(smallest, std::log(t.loss.front() / t.loss[n]) * t.problem.tokens / (2.0 * t.t[n]));
  }
  return smallest;
}

// As many records where the loss falls as where it has fallen.
std::vector<std::int64_t> sampled_steps() {
  std::vector<std::int64_t> steps{0};
  for (std::int64_t step = 4; step <= kSteps; step += step < 400 ? 4 : 40) steps.push_back(step);
  return steps;
}

struct Shown {
  std::vector<double> t;
  std::vector<std::vector<double>> loss, strength, top;
};

report::Figure limits(const Shown& shown) {
  const report::Axis time{.title = "time t", .scale = report::Scale::kLinear};
  report::SeriesChart loss{
      .x = time, .y = {.title = "loss", .scale = report::Scale::kLog}, .series = {}, .references = {}};
  report::SeriesChart strength{
      .x = time, .y = {.title = "∫‖∇L‖ dt", .scale = report::Scale::kLinear}, .series = {}, .references = {}};
  report::SeriesChart top{.x = time,
                          .y = {.title = "max σ", .scale = report::Scale::kLinear},
                          .series = {},
                          .references = {{"one-hot", 1.0}, {"uniform", 1.0 / kShownSize}}};
  loss.series.push_back(spread_series("loss", shown.t, shown.loss));
  strength.series.push_back(spread_series("∫‖∇L‖ dt", shown.t, shown.strength));
  top.series.push_back(spread_series("max σ", shown.t, shown.top));
  report::SeriesChart all = loss;
  all.series = {loss.series[0], strength.series[0], top.series[0]};
  const std::string ends =
      fmt::format("At the end the loss is {}, ∫‖∇L‖ dt {} and max σ {}.", end_in_words(loss.series[0]),
                  end_in_words(strength.series[0]), end_in_words(top.series[0]));
  const std::array<report::Panel, 3> three{report::Panel{"loss", report::series_chart(loss)},
                                           report::Panel{"cumulative strength", report::series_chart(strength)},
                                           report::Panel{"largest weight", report::series_chart(top)}};
  return {.id = "limits",
          .title = fmt::format("Loss, strength and largest weight under square loss (k = {})", kShownSize),
          .caption = "Medians and ranges over starts. " + ends,
          .alternative =
              "Three panels against time: the loss, the integral of the gradient's norm and the largest "
              "weight. " +
              ends,
          .spec = report::panels(three, 3, true),
          .table = report::table_of(all)};
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 8'334 : 400;
  const std::vector<Setting> settings = settings_of({.loss = flow::Loss::kSquare}, kSizes, kScales);
  const auto total = static_cast<std::size_t>(each) * settings.size();
  std::vector<double> rates(total), against_bound(total), under(total), straightness(total), tops(total),
      strengths(total);
  Shown shown;
  std::mutex mutex;  // guards shown

  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()}, static_cast<std::int64_t>(total));
  ensemble.descend(settings, each, {.step = kStep, .steps = kSteps, .samples = sampled_steps(), .progress = {}},
                   [&](std::size_t s, std::int64_t i, const flow::Trajectory& t) {
                     const std::size_t at = s * static_cast<std::size_t>(each) + static_cast<std::size_t>(i);
                     const int k = t.problem.tokens;
                     const Decay decay = decay_of(t);
                     rates[at] = decay.rate;
                     against_bound[at] = decay.rate * k / 2.0;
                     under[at] = decay_against_bound(t);
                     straightness[at] = decay.r_square;
                     tops[at] = *std::max_element(t.sigma.end() - k, t.sigma.end());
                     strengths[at] = t.strength.back();
                     if (k != kShownSize || settings[s].start.value_scale != kShownScale) return;
                     std::vector<double> top;
                     for (std::size_t n = 0; n < t.points(); ++n) {
                       top.push_back(*std::max_element(t.sigma.begin() + n * k, t.sigma.begin() + (n + 1) * k));
                     }
                     const std::lock_guard lock(mutex);
                     shown.t = t.t;
                     shown.loss.push_back(t.loss);
                     shown.strength.push_back(t.strength);
                     shown.top.push_back(std::move(top));
                   });
  ensemble.finish();

  const Spread rate = spread_of(rates);
  const Spread bound = spread_of(against_bound);
  const Spread envelope = spread_of(under);
  const Spread straight = spread_of(straightness);
  const auto bent = std::count_if(straightness.begin(), straightness.end(), [](double r) { return !(r > 0.99); });
  const Spread top = spread_of(tops);
  report::Section section;
  section.method = fmt::format(
      "Square loss ½‖β − Vσ(a)‖², softmax, V₀ = scale·N(0, 1), a₀ = 0, ‖β‖ = 1, d = k in {{2, 4, 8, 16}}, scale in "
      "{{0.01, 0.1, 1}}: {} gradient descents, {} steps of {}. The rate is fitted where the loss lies between {:g} and "
      "{:g} of its start.",
      counted(static_cast<long long>(total)), counted(kSteps), kStep, kFitFrom, kFitTo);
  section.findings = fmt::format(
      "The loss is under L(0)·exp(−2t/k) where log(L(0)/L)·k/2t is above 1: its smallest value at any record is {}. "
      "The rate fitted to it is {}. It need not be one exponential: on {} trajectories a straight line through log L "
      "has R² below 0.99 (smallest {}). ∫‖∇L‖ dt ends at {} and max σ at {}.",
      significant(envelope.low, 5), in_words(rate, "trajectories"), counted(bent), significant(straight.low, 4),
      in_words(spread_of(strengths), "trajectories"), in_words(top, "trajectories"));
  section.claims = {
      ensemble.claim(kChecks[0], "Appendix C.1", "limits"),
      claim("A.c1/exponential", "The loss decays exponentially: L(t) ≤ L(0)·exp(−2t/k).",
            "Appendix C.1; Lemma D.2 with ‖σ‖² ≥ 1/k, integrated",
            "log(L(0)/L(t))·k/(2t) at least 1 at every record down to 1e-20 of the start, every trajectory", envelope,
            "trajectories", envelope.low >= 1.0, "limits"),
      claim("A.c1/rate", "The loss decays at least as fast as exp(−2t/k).", "Lemma D.2 with ‖σ‖² ≥ 1/k",
            "fitted rate · k/2 at least 0.98 (descent is slower than the flow by up to the step) on every trajectory",
            bound, "trajectories", bound.low >= 0.98, "rates"),
      ensemble.claim(kChecks[1], "Appendix C.1", "limits"),
  };
  const report::Histogram of_rates{.x = {.title = "rate of decay · k/2", .scale = report::Scale::kLog},
                                   .values = against_bound,
                                   .marks = {{"the bound, 1", 1.0}}};
  section.figures = {limits(shown),
                     {.id = "rates",
                      .title = "Rates of decay against the bound 2/k",
                      .caption = fmt::format("The fitted rate is {} times the bound.", in_words(bound, "trajectories")),
                      .alternative = fmt::format("Histogram of the fitted rate of decay divided by 2/k: {}.",
                                                 in_words(bound, "trajectories")),
                      .spec = report::histogram(of_rates),
                      .table = report::table_of(of_rates)},
                     ensemble.figure("margins", kChecks)};
  section.configuration = {{"model", "value-softmax"},
                           {"loss", "square"},
                           {"re-weighting", "softmax"},
                           {"d = k", "2, 4, 8, 16"},
                           {"V₀", "scale·N(0, 1), scale 0.01, 0.1, 1"},
                           {"a₀", "0"},
                           {"trajectories a setting", counted(each)},
                           {"step, steps", fmt::format("{}, {}", kStep, kSteps)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper()) section.differences = "4 800 trajectories where the paper preset takes 100 008.";
  return section;
}

}  // namespace

Experiment a_c1() {
  return {.id = "A.c1",
          .title = "Under square loss the weights stop short of one-hot",
          .source = "Polarisation paper, appendix C.1",
          .question = "Does attention polarise when the loss can be fitted exactly?",
          .run = run};
}

}  // namespace polariscope::experiments
