// Figure 10 of the Lipschitz paper: the variance of the logits over training, layer by layer.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/layer_panels.h"
#include "polariscope/experiments/shared/straight_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kMostVariance = 1e8;  // drawn

const std::vector<double>& variance_of(const RegressionRun& run, std::size_t layer) {
  return run.log().layer("logit_variance", layer);
}

// Decades that each layer's variance has risen from step 1 to the run's first collapse; none without one.
std::vector<double> rises_of(const RegressionRun& run) {
  const auto collapse = run.first_collapse();
  std::vector<double> rises;
  for (std::size_t layer = 0; collapse && layer < static_cast<std::size_t>(run.layers()); ++layer) {
    const std::vector<double>& variance = variance_of(run, layer);
    std::size_t n = 0;
    while (run.log().step[n] < collapse->step) ++n;
    rises.push_back(std::log10(variance[n] / variance.front()));
  }
  return rises;
}

// Correlation of the rise with the layer's number; NaN without a collapse.
double trend_of(const RegressionRun& run) {
  const std::vector<double> rises = rises_of(run);
  std::vector<double> layers;
  for (std::size_t layer = 1; layer <= rises.size(); ++layer) layers.push_back(static_cast<double>(layer));
  return rises.size() < 2 ? std::nan("") : straight_line(layers, rises).correlation;
}

double largest_variance(const RegressionRun& run) {
  double largest = 0.0;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(run.layers()); ++layer) {
    largest = std::max(largest, spread_of(variance_of(run, layer)).high);
  }
  return largest;
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> variants = paper_runs(runs);
  const std::vector<RegressionRun>& softmax = variants[0].second;
  report::Section section;
  section.method = runs.method();
  std::vector<std::string> words;
  for (int layer = 0; layer < layers_of(variants); ++layer) {
    const Spread rise = over_runs(softmax, [=](const RegressionRun& one) {
      const std::vector<double> rises = rises_of(one);
      return rises.empty() ? std::nan("") : rises[static_cast<std::size_t>(layer)];
    });
    words.push_back(fmt::format("layer {} {}", layer + 1, in_words(rise, "runs", 2)));
  }
  std::vector<std::pair<std::string, Spread>> largest;
  for (const auto& [variant, of] : variants) largest.emplace_back(variant.name(), over_runs(of, largest_variance));
  section.findings = fmt::format(
      "Decades that softmax's variance has risen from step 1 to the first collapse of a layer: {}. Largest variance of "
      "any "
      "layer: {}.",
      fmt::join(words, "; "), of_each_variant(largest));
  const Spread trend = over_runs(softmax, trend_of), relu = largest[2].second, elu = largest[3].second;
  section.claims = {
      claim_in_words(
          "B.fig10/later-layers", "The rise is more pronounced in later layers.", "Figure 10",
          fmt::format("with softmax, the decades of rise at the run's first collapse correlate with the layer's "
                      "number, above 0 in every run; inconclusive under {}",
                      kFewestSeeds),
          in_words(trend, "runs"), trend, judged(trend.runs, kFewestSeeds, trend.low > 0.0), "variance"),
      claim_in_words(
          "B.fig10/kernels", "The kernels' logits vary less than softmax's.", "Figure 10",
          fmt::format("largest variance of any layer at any step in every softmax run above that of every run of "
                      "both kernels; inconclusive under {} runs of any",
                      kFewestSeeds),
          of_each_variant(largest), largest[0].second,
          judged(std::min({largest[0].second.runs, relu.runs, elu.runs}), kFewestSeeds,
                 largest[0].second.low > std::max(relu.high, elu.high)),
          "variance")};
  section.figures = {multiples_figure(
      {.id = "variance",
       .title = "Variance of the logits in every layer",
       .caption = fmt::format("A straight line is an exponential; variances above {:g} are drawn there. Lines: median "
                              "over seeds while half of the runs go on; "
                              "bands: lowest to highest. {}",
                              kMostVariance, kMarkInWords),
       .alternative = "Variance of the logits against step, one panel a layer, one colour an attention.",
       .columns = 3},
      layer_panels(variants, "logit_variance", {"variance of logits", report::Scale::kLog}, {}, kMostVariance))};
  add_links(section, variants);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig10() {
  return {.id = "B.fig10",
          .title = "The variance of logits in every layer over training",
          .source = "Lipschitz paper, figure 10",
          .question = "Do the logits of later layers spread more?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
