// Section 5.3 of the Lipschitz paper: the gradient's norm against ‖P‖_F, along each training.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/straight_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kTogether = 0.5;      // a correlation above it
constexpr std::size_t kWindow = 5;     // steps
constexpr double kMostGradient = 1e4;  // drawn

std::vector<double> norm_of(const RegressionRun& run) { return run.mean_over_layers("frobenius_norm"); }
std::vector<double> log_gradient_of(const RegressionRun& run) {
  std::vector<double> values = run.log().number("gradient_norm");
  for (double& value : values) value = std::log10(value);
  return values;
}

double correlation_of(const RegressionRun& run) {
  return straight_line(norm_of(run), log_gradient_of(run)).correlation;
}

// The end of the first window of steps whose median has come half of the way from the first window's to the largest;
// NaN for a run that is shorter than two windows.
double half_way(const RegressionRun& run, const std::vector<double>& values) {
  std::vector<double> medians;
  for (std::size_t at = 0; at + kWindow <= values.size(); at += kWindow) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(at);
    medians.push_back(spread_of({first, first + static_cast<std::ptrdiff_t>(kWindow)}).median);
  }
  if (medians.size() < 2) return std::nan("");
  const double middle = (medians.front() + std::ranges::max(medians)) / 2.0;
  const auto found = std::ranges::find_if(medians, [=](double value) { return value >= middle; });
  return run.log().step[static_cast<std::size_t>(found - medians.begin() + 1) * kWindow - 1];
}

// Steps by which the norm is half-way before the gradient is.
double lead_of(const RegressionRun& run) { return half_way(run, log_gradient_of(run)) - half_way(run, norm_of(run)); }

report::Claim together_claim(const char* id, const RunsOfVariant& of) {
  const Spread correlation = over_runs(of.second, correlation_of);
  return claim_in_words(
      id, fmt::format("With {} the gradient's norm rises with ‖P‖_F.", of.first.name()), "Section 5.3",
      fmt::format(
          "correlation of the gradient norm's logarithm with ‖P‖_F, the mean over layers, over the steps of a run, "
          "above {:g} in every run; inconclusive under {}",
          kTogether, kFewestSeeds),
      in_words(correlation, "runs"), correlation, judged(correlation.runs, kFewestSeeds, correlation.low > kTogether),
      "correlation");
}

report::CategoryChart categories(report::Axis x, const std::vector<RunsOfVariant>& variants,
                                 double (*figure)(const RegressionRun&)) {
  report::CategoryChart chart{.x = std::move(x), .categories = {}, .low = {}, .high = {}, .references = {{"0", 0.0}}};
  for (const auto& [variant, runs] : variants) {
    report::Category category{.name = variant.name(), .values = {}, .colour = variant.colour()};
    for (const RegressionRun& run : runs) category.values.push_back(figure(run));
    chart.categories.push_back(std::move(category));
  }
  return chart;
}

Multiple plane(const RunsOfVariant& of) {
  report::SeriesChart chart{.x = {"‖P‖_F, mean over layers"},
                            .y = {"gradient norm", report::Scale::kLog},
                            .series = {},
                            .references = {},
                            .points = true};
  for (const RegressionRun& run : of.second) {
    chart.series.push_back({.name = fmt::format("seed {}", run.trained().settings.at("seed").dump()),
                            .x = norm_of(run),
                            .y = capped("gradient_norm", kMostGradient)(run),
                            .low = {},
                            .high = {},
                            .colour = ""});
  }
  return panel(of.first.name(), chart);
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> variants = paper_runs(runs);
  report::Section section;
  section.method = runs.method() +
                   fmt::format(
                       " Half-way: the first {} steps whose median is half of the way from that of the first {} to the "
                       "largest, of the gradient norm's logarithm and of ‖P‖_F.",
                       kWindow, kWindow);
  std::vector<std::pair<std::string, Spread>> correlations, leads;
  std::vector<Multiple> planes;
  for (const RunsOfVariant& of : variants) {
    correlations.emplace_back(of.first.name(), over_runs(of.second, correlation_of));
    leads.emplace_back(of.first.name(), over_runs(of.second, lead_of));
    planes.push_back(plane(of));
  }
  section.findings = fmt::format(
      "Correlation along a run: {}. Steps from ‖P‖_F half-way to the gradient half-way, negative where the gradient is "
      "first: "
      "{}.",
      of_each_variant(correlations), of_each_variant(leads));
  const Spread lead = leads[0].second;
  section.claims = {
      together_claim("B.sec5.3/softmax", variants[0]), together_claim("B.sec5.3/qk-layernorm", variants[1]),
      together_claim("B.sec5.3/relu", variants[2]), together_claim("B.sec5.3/elu1", variants[3]),
      claim_in_words("B.sec5.3/order", "With softmax ‖P‖_F moves first, and the gradient follows.", "Section 5.3; ours",
                     fmt::format("‖P‖_F is half-way before the gradient norm in every softmax run; "
                                 "inconclusive under {}",
                                 kFewestSeeds),
                     in_words(lead, "runs", 3, "steps"), lead, judged(lead.runs, kFewestSeeds, lead.low > 0.0),
                     "order")};
  const report::CategoryChart correlation = categories({"correlation with ‖P‖_F"}, variants, correlation_of),
                              order = categories({"lead of ‖P‖_F in steps"}, variants, lead_of);
  section.figures = {
      multiples_figure(
          {.id = "plane",
           .title = "Gradient norm against ‖P‖_F",
           .caption = fmt::format("One mark a step, thinned, one colour a seed. Gradients above {:g} are drawn there.",
                                  kMostGradient),
           .alternative = "Gradient norm against the norm of attention, one panel an attention.",
           .columns = 2,
           .share_x = false},
          planes),
      {.id = "correlation",
       .title = "How they go together",
       .caption = "Correlation of the gradient norm's logarithm with ‖P‖_F, the mean over layers. One dot a run, over "
                  "all its steps.",
       .alternative = "Correlation of gradient norm and norm of attention by attention, one dot a run.",
       .spec = report::category_chart(correlation),
       .table = report::table_of(correlation)},
      {.id = "order",
       .title = "Which moves first",
       .caption = "One dot a run; to the right of 0 ‖P‖_F is first.",
       .alternative = "Steps by which the norm of attention moves before the gradient, by attention, one dot a run.",
       .spec = report::category_chart(order),
       .table = report::table_of(order)}};
  add_links(section, variants);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_sec5_3() {
  return {.id = "B.sec5.3",
          .title = "Gradient norm and ‖P‖_F",
          .source = "Lipschitz paper, section 5.3",
          .question = "Does the gradient's norm rise with the norm of attention, and which of the two is first?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
