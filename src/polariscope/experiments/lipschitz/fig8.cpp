// Figure 8 of the Lipschitz paper: skewness over training, and the probabilities at its peak.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/sequence_records.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kEnds = 0.01;  // of 0 or 1: within it a probability stands at an end

std::vector<double> mean_skewness(const RegressionRun& run) { return run.mean_over_layers("skewness"); }
double largest_skewness(const RegressionRun& run) { return spread_of(mean_skewness(run)).high; }
double step_of_largest(const RegressionRun& run) {
  const std::vector<double> skewness = mean_skewness(run);
  return run.log().step[static_cast<std::size_t>(std::ranges::max_element(skewness) - skewness.begin())];
}

// Of its probabilities at the most skewed step; NaN of a run that left none.
double share_at_ends(const RegressionRun& run) {
  const std::vector<double> weights = most_skewed_weights(run);
  const auto at_end = [](double p) { return p < kEnds || p > 1.0 - kEnds; };
  return static_cast<double>(std::ranges::count_if(weights, at_end)) / static_cast<double>(weights.size());
}

Multiple histogram_panel(const RegressionRuns& runs, const RunsOfVariant& of) {
  constexpr int kBins = 50;
  report::Histogram histogram{.x = {"attention probability p"}, .values = {}, .bins = kBins, .marks = {}};
  for (const RegressionRun& run : of.second) {
    const std::vector<double> weights = most_skewed_weights(run);
    histogram.values.insert(histogram.values.end(), weights.begin(), weights.end());
  }
  histogram.marks = {{"1/N", 1.0 / runs.tokens}, {"one-hot", 1.0}};
  return {.title = fmt::format("{} at its peak", of.first.name()),
          .spec = report::histogram(histogram),
          .table = report::table_of(histogram)};
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> all = paper_runs(runs);
  const std::vector<RunsOfVariant> both{all[0], all[2]};
  const std::vector<RegressionRun>&softmax = both[0].second, &relu = both[1].second;
  report::Section section;
  section.method =
      runs.method() +
      " Skewness is that of a row's probabilities, its mean over rows, batch and layers. Probabilities are those "
      "of one unseen sequence, all layers, at the step of the run's largest skewness.";
  const Spread of_softmax = over_runs(softmax, largest_skewness), of_relu = over_runs(relu, largest_skewness);
  const Spread ends_of_softmax = over_runs(softmax, share_at_ends), ends_of_relu = over_runs(relu, share_at_ends);
  const double one_hot = (runs.tokens - 2) / std::sqrt(runs.tokens - 1.0);
  const std::string peaks =
      fmt::format("Largest skewness: softmax {} at step {}; ReLU kernel {} at step {}; a one-hot row has {:.2f}",
                  in_words(of_softmax, "runs"), in_words(over_runs(softmax, step_of_largest), "runs"),
                  in_words(of_relu, "runs"), in_words(over_runs(relu, step_of_largest), "runs"), one_hot);
  section.findings = peaks + ".";
  const long long fewest = std::min(of_softmax.runs, of_relu.runs),
                  fewest_kept = std::min(ends_of_softmax.runs, ends_of_relu.runs);
  section.claims = {
      claim_in_words(
          "B.fig8/skewness", "Softmax's rows become more skewed than the ReLU kernel's.", "Figure 8",
          fmt::format("largest mean skewness of every softmax run above that of every ReLU run; inconclusive under "
                      "{} runs of either",
                      kFewestSeeds),
          fmt::format("softmax {}; ReLU kernel {}", in_words(of_softmax, "runs"), in_words(of_relu, "runs")),
          of_softmax, judged(fewest, kFewestSeeds, of_softmax.low > of_relu.high), "skewness"),
      claim_in_words(
          "B.fig8/probabilities",
          "At their most skewed, softmax's probabilities stand at 0 and 1 and the ReLU kernel's between.", "Figure 8",
          fmt::format("more than half of the probabilities within {:g} of 0 or 1 in every softmax run, less than "
                      "half in every ReLU run; inconclusive under {} runs of either",
                      kEnds, kFewestSeeds),
          fmt::format("softmax {}; ReLU kernel {}", in_words(ends_of_softmax, "runs"), in_words(ends_of_relu, "runs")),
          ends_of_softmax, judged(fewest_kept, kFewestSeeds, ends_of_softmax.low > 0.5 && ends_of_relu.high < 0.5),
          "skewness")};
  report::SeriesChart chart = chart_of_variants(both, {"skewness of rows"}, mean_skewness, true);
  chart.references = {{fmt::format("one-hot: {:.2f}", one_hot), one_hot}};
  section.figures = {multiples_figure(
      {.id = "skewness",
       .title = "Skewness of rows, and their probabilities at its peak",
       .caption =
           fmt::format("Left: thin, each run up to its last finite step; thick, the median while half of the runs go "
                       "on. Right: all runs together. {}.",
                       peaks),
       .alternative =
           "Skewness against step for softmax and the ReLU kernel, and a histogram of attention probabilities of "
           "each at its most skewed step.",
       .columns = 3,
       .share_x = false},
      std::vector<Multiple>{panel("skewness", chart), histogram_panel(runs, both[0]), histogram_panel(runs, both[1])})};
  add_links(section, both);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig8() {
  return {.id = "B.fig8",
          .title = "Skewness of rows and the probabilities at its peak",
          .source = "Lipschitz paper, figure 8 and equation (21)",
          .question = "How skewed do rows become, and what are their probabilities then?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
