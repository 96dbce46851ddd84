// Theorem 3.3 of the polarisation paper: the logistic flow tends to one-hot weights and zero loss.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr std::array<std::string_view, 3> kChecks{"A.thm3.3/one-hot", "A.thm3.3/strength", "A.thm3.3/loss"};
constexpr std::array<int, 4> kSizes{2, 4, 8, 16};
constexpr std::array<double, 3> kScales{0.01, 0.1, 1.0};
constexpr int kShownSize = 8;  // all three scales of it
constexpr double kStep = 0.1;  // descent follows the flow
constexpr std::int64_t kSteps = 10'000;

// What the figures show of the flows, one entry a flow, each [records].
struct Shown {
  std::vector<double> t;
  std::vector<std::vector<double>> spread, strength, loss;  // spread: 1 − max σ
};

report::Panel panel(std::string title, std::string axis, report::Scale scale, const Shown& shown,
                    const std::vector<std::vector<double>>& runs, report::SeriesChart* table) {
  const report::Series series = spread_series(axis, shown.t, runs);
  table->series.push_back(series);
  return {std::move(title), report::series_chart({.x = {.title = "time t", .scale = report::Scale::kLog},
                                                  .y = {.title = std::move(axis), .scale = scale},
                                                  .series = {series},
                                                  .references = {}})};
}

report::Figure limits(const Shown& shown) {
  report::SeriesChart all{.x = {.title = "time t"}, .y = {.title = "value"}, .series = {}, .references = {}};
  const std::array<report::Panel, 3> three{
      panel("not one-hot yet", "1 − max σ", report::Scale::kLog, shown, shown.spread, &all),
      panel("cumulative strength", "∫ s dt", report::Scale::kLinear, shown, shown.strength, &all),
      panel("loss", "loss", report::Scale::kLog, shown, shown.loss, &all)};
  const double log_t = std::log(shown.t.back());
  const std::string ends = fmt::format(
      "At t = {:g} the loss is {} where 1/t is {:g}, ∫ s dt is {} where log t is {:.1f}, and 1 − max σ is {} where "
      "2(k − 1)/(k log² t) is {:.2g}.",
      shown.t.back(), end_in_words(all.series[2]), 1.0 / shown.t.back(), end_in_words(all.series[1], 4), log_t,
      end_in_words(all.series[0]), 2.0 * (kShownSize - 1) / (kShownSize * log_t * log_t));
  return {.id = "limits",
          .title = fmt::format("One-hot weights, divergent strength, vanishing loss (k = {})", kShownSize),
          .caption = ends,
          .alternative =
              "Three panels against time to 1e299: 1 − max σ, the integral of s and the loss. Lines are "
              "medians over random starts, bands their range. " +
              ends,
          .spec = report::panels(three, 3, true),
          .table = report::table_of(all)};
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 8'334 : 200;
  const std::int64_t flows = context.paper() ? 200 : 20;
  const std::vector<Setting> settings = settings_of(Setting{}, kSizes, kScales);
  // The reduced system is exact under logistic loss, and small enough for the stiff solver.
  const std::vector<Setting> reduced = settings_of({.model = flow::Model::kReduced}, kSizes, kScales);
  const flow::FlowOptions flow{
      .until = 1e299, .times = {}, .solver = flow::Solver::kBdf, .events = false, .progress = {}};
  const auto groups = static_cast<std::int64_t>(settings.size());

  CheckedEnsemble ensemble(context, {kChecks.begin(), kChecks.end()}, groups * (each + flows));
  ensemble.descend(settings, each, {.step = kStep, .steps = kSteps, .samples = {}, .progress = {}});
  std::vector<std::vector<double>> top(settings.size(), std::vector<double>(flows));
  std::vector<std::vector<double>> loss = top;
  std::vector<std::vector<double>> strength = top;
  Shown shown;
  shown.t = flow::log_times(flow.until, 200);
  std::mutex mutex;  // guards shown
  ensemble.integrate(reduced, flows, flow, [&](std::size_t s, std::int64_t i, const flow::Trajectory& t) {
    const int k = t.problem.tokens;
    std::vector<double> rest(t.points(), 0.0);  // 1 − max σ without the cancellation
    for (std::size_t n = 0; n < t.points(); ++n) {
      for (int j = 0; j < k; ++j) {
        if (j != static_cast<int>(t.winner[n])) rest[n] += t.sigma[n * k + j];
      }
    }
    top[s][i] = 1.0 - rest.back();
    loss[s][i] = t.loss.back();
    strength[s][i] = t.strength.back();
    if (k != kShownSize) return;
    const std::lock_guard lock(mutex);
    shown.spread.push_back(std::move(rest));
    shown.strength.push_back(t.strength);
    shown.loss.push_back(t.loss);
  });
  ensemble.finish();

  const auto all = [](const std::vector<std::vector<double>>& by_setting) {
    std::vector<double> values;
    for (const auto& group : by_setting) values.insert(values.end(), group.begin(), group.end());
    return spread_of(std::move(values));
  };
  report::Section section;
  section.method = fmt::format(
      "Random starts V₀ = scale·N(0, 1), a₀ = 0, ‖β‖ = 1, d = k in {{2, 4, 8, 16}}, scale in {{0.01, 0.1, 1}}: {} "
      "flows "
      "integrated in log t to t = 1e299, and {} gradient descents of {} steps of {}. The checks compare the second "
      "half "
      "of log t with the first; those of the two limits beside the loss need t beyond 1e100, where only the flow goes.",
      counted(groups * flows), counted(groups * each), counted(kSteps), kStep);
  section.findings = fmt::format(
      "At t = 1e299 max σ is {}, ∫ s dt is {} (log t is 688) and the loss {}. That one-hot weights, a strength without "
      "bound and a loss of zero are approached is violated on {}, {} and {} trajectories.",
      in_words(all(top), "flows", 7), in_words(all(strength), "flows", 4), in_words(all(loss), "flows", 3),
      counted(ensemble.count(kChecks[0]).violations), counted(ensemble.count(kChecks[1]).violations),
      counted(ensemble.count(kChecks[2]).violations));
  for (const std::string_view check : kChecks) section.claims.push_back(ensemble.claim(check, "Theorem 3.3", "limits"));
  section.figures = {limits(shown), ensemble.figure("margins", kChecks)};
  section.configuration = {{"model", "value-softmax; the flows by its reduced form"},
                           {"loss", "logistic"},
                           {"re-weighting", "softmax"},
                           {"d = k", "2, 4, 8, 16"},
                           {"V₀", "scale·N(0, 1), scale 0.01, 0.1, 1"},
                           {"a₀", "0"},
                           {"flows a setting", counted(flows)},
                           {"integrator", fmt::format("CVODE, BDF in log t, relative tolerance {}", flow.rtol)},
                           {"descents a setting", counted(each)},
                           {"step, steps", fmt::format("{}, {}", kStep, kSteps)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper())
    section.differences = "2 400 descents and 240 flows where the paper preset takes 100 008 and 2 400.";
  return section;
}

}  // namespace

Experiment a_thm3_3() {
  return {.id = "A.thm3.3",
          .title = "The logistic flow tends to one-hot weights and zero loss",
          .source = "Polarisation paper, theorem 3.3",
          .question = "Do softmax weights become one-hot in the limit, and how far is the limit?",
          .run = run};
}

}  // namespace polariscope::experiments
