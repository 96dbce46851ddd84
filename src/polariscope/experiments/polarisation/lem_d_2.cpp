// Lemma D.2 of the polarisation paper: dL/dt ≤ −‖σ‖²‖∇L‖² at every point, whatever the loss and the re-weighting.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr std::string_view kRate = "A.lemD.2/rate";
constexpr std::array<flow::Loss, 4> kLosses{flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares,
                                            flow::Loss::kKl};
// Every differentiable row of the table; at a kink (relu, L1) dL/dt is no derivative.
constexpr std::array<std::string_view, 10> kRows{"softmax",  "softmax1", "sigmoid",      "sigmoid/sum", "elu1",
                                                 "elu1/sum", "identity", "identity/sum", "square/sum",  "uniform"};
constexpr std::array<int, 2> kSizes{3, 8};
constexpr std::array<double, 2> kScales{0.1, 1.0};
constexpr int kShownSize = 8;
constexpr double kShownScale = 1.0;
constexpr std::int64_t kSteps = 1'000;

// Unlike the order, the statement is about single points: how well descent follows the flow does not matter.
double step_for(flow::Loss loss) { return loss == flow::Loss::kLeastSquares ? 0.01 : 0.05; }

// −dL/dt / (‖σ‖²‖∇L‖²), NaN where the difference quotient drowns in rounding.
std::vector<double> ratios(const flow::Trajectory& t) {
  const int k = t.problem.tokens;
  std::vector<double> result;
  for (std::size_t n = 0; n < t.points(); ++n) {
    double square = 0.0;
    for (int j = 0; j < k; ++j) square += t.sigma[n * k + j] * t.sigma[n * k + j];
    result.push_back(-t.loss_rate[n] / (square * t.gradient_output[n] * t.gradient_output[n]));
  }
  return result;
}

using Lines = std::array<std::vector<report::Series>, kLosses.size()>;

Spread ratios_where(const Lines& lines, const std::function<bool(const report::Series&)>& wanted) {
  std::vector<double> values;
  for (const std::vector<report::Series>& of_loss : lines) {
    for (const report::Series& line : of_loss) {
      if (wanted(line)) values.insert(values.end(), line.y.begin(), line.y.end());
    }
  }
  return spread_of(std::move(values));
}

// "The smallest ratio of any line is 1; with uniform attention the ratio lies between 1 and 1."
std::string ratios_in_words(const Lines& lines) {
  const Spread all = ratios_where(lines, [](const report::Series&) { return true; });
  const Spread uniform = ratios_where(lines, [](const report::Series& line) { return line.name == "uniform"; });
  return fmt::format(
      "The smallest ratio of any line is {}. With uniform attention, which has no scores to learn, the lemma is an "
      "equation: the ratio lies between {} and {}.",
      significant(all.low, 6), significant(uniform.low, 6), significant(uniform.high, 6));
}

report::Figure ratio_figure(const Lines& lines) {
  std::vector<report::Panel> charts;
  report::SeriesChart all{
      .x = {.title = "time t"}, .y = {.title = "−dL/dt / (‖σ‖²‖∇L‖²)"}, .series = {}, .references = {}};
  for (std::size_t l = 0; l < kLosses.size(); ++l) {
    charts.push_back({std::string(flow::loss_name(kLosses[l])),
                      report::series_chart({.x = {.title = "time t", .scale = report::Scale::kLog},
                                            .y = {.title = "−dL/dt / (‖σ‖²‖∇L‖²)", .scale = report::Scale::kLog},
                                            .series = lines[l],
                                            .references = {{"the bound, 1", 1.0}}})});
    for (report::Series series : lines[l]) {
      series.name = fmt::format("{}, {}", flow::loss_name(kLosses[l]), series.name);
      all.series.push_back(std::move(series));
    }
  }
  return {.id = "ratio",
          .title = "How fast the loss falls, against what the lemma promises",
          .caption = ratios_in_words(lines),
          .alternative = fmt::format("Four panels, one a loss, of the measured rate of the loss over the lemma's bound "
                                     "against time, a line for every re-weighting. {}",
                                     ratios_in_words(lines)),
          .spec = report::panels(charts, 2),
          .table = report::table_of(all)};
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 625 : 24;
  const std::int64_t groups = kLosses.size() * kRows.size() * kSizes.size() * kScales.size();
  CheckedEnsemble ensemble(context, {kRate}, groups * each);
  std::atomic<long long> records = 0;
  std::atomic<long long> measured = 0;
  Lines lines;
  for (std::size_t l = 0; l < kLosses.size(); ++l) {
    for (const std::string_view row : kRows) {
      Setting like{.loss = kLosses[l], .reweighting = &reweighting::find_reweighting(row)};
      like.start = flow::usual_start(like.model, like.loss, *like.reweighting);
      const std::vector<Setting> settings = settings_of(like, kSizes, kScales);
      ensemble.descend(settings, each, {.step = step_for(kLosses[l]), .steps = kSteps, .samples = {}, .progress = {}},
                       [&](std::size_t s, std::int64_t i, const flow::Trajectory& t) {
                         records += static_cast<long long>(t.points());
                         measured += std::count_if(t.loss_rate.begin(), t.loss_rate.end(),
                                                   [](double rate) { return std::isfinite(rate); });
                         const flow::StartOptions& start = settings[s].start;
                         if (i != 0 || start.tokens != kShownSize || start.value_scale != kShownScale) return;
                         report::Series line;
                         line.name = row;
                         line.x = t.t;
                         line.y = ratios(t);
                         line.colour = colour_of(row);
                         line.dashed = is_dashed(row);
                         lines[l].push_back(std::move(line));
                       });
    }
  }
  ensemble.finish();

  const CheckedEnsemble::Count found = ensemble.count(kRate);
  report::Section section;
  section.method = fmt::format(
      "{} random trajectories of gradient descent ({} steps of 0.05, least squares 0.01): four losses, {} "
      "differentiable re-weightings, d = k in {{3, 8}}, V₀ = 0.1 and 1·N(0, 1). At every record dL/dt along the flow "
      "is "
      "measured by a central difference of the loss, so it does not use the gradient it is compared with.",
      counted(groups * each), counted(kSteps), kRows.size());
  section.findings = fmt::format(
      "{} of {} trajectories have a point above the bound; the worst measured rate is {} of it, where a thousandth is "
      "allowed for the difference quotient. {} of {} records could be measured: the rest are so near the minimum that "
      "the difference drowns in rounding. Re-weightings with a kink (relu, L1, identity/max1) are left out: where the "
      "flow slides along a kink, dL/dt is no derivative.",
      counted(found.violations), counted(found.applied), significant(found.worst - 1e-3 + 1.0, 6), counted(measured),
      counted(records));
  section.claims = {ensemble.claim(kRate, "Lemma D.2", "ratio")};
  const std::array<std::string_view, 1> checks{kRate};
  section.figures = {ratio_figure(lines), ensemble.figure("margins", checks)};
  std::string rows;
  for (const std::string_view row : kRows) rows += (rows.empty() ? "" : ", ") + std::string(row);
  section.configuration = {{"model", "value-softmax"},
                           {"loss", "logistic, square, least-squares, kl"},
                           {"re-weighting", rows},
                           {"d = k", "3, 8"},
                           {"V₀", "scale·N(0, 1), scale 0.1, 1"},
                           {"a₀", "0, or 1 + 0.1·N(0, 1) where f(0) = 0"},
                           {"trajectories a setting", counted(each)},
                           {"steps", counted(kSteps)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper()) section.differences = "3 840 trajectories where the paper preset takes 100 000.";
  return section;
}

}  // namespace

Experiment a_lem_d_2() {
  return {.id = "A.lemD.2",
          .title = "The loss falls at least as fast as ‖σ‖²‖∇L‖²",
          .source = "Polarisation paper, lemma D.2",
          .question = "Is dL/dt ≤ −‖σ‖²‖∇L‖² at every point, for any loss and any re-weighting?",
          .run = run};
}

}  // namespace polariscope::experiments
