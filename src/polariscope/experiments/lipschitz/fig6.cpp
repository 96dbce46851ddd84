// Figure 6 of the Lipschitz paper: mean entropy over training, layer by layer.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/layer_panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

double collapsed_layers(const RegressionRun& run) {
  int count = 0;
  for (int layer = 0; layer < run.layers(); ++layer) count += run.collapse_of(layer) ? 1 : 0;
  return count;
}

// Steps from the first layer's collapse to the last one's; NaN unless every layer collapses.
double spread_of_collapses(const RegressionRun& run) {
  const auto first = run.first_collapse();
  double last = 0.0;
  for (int layer = 0; layer < run.layers(); ++layer) {
    const auto step = run.collapse_of(layer);
    if (!step) return std::nan("");
    last = std::max(last, *step);
  }
  return last - first->step;
}

report::Claim loses_claim(const char* id, const RunsOfVariant& of) {
  return claim_of_every(
      id, fmt::format("With {} every layer loses its entropy.", of.first.name()), "Section 5.2, figure 6",
      fmt::format("mean entropy of each layer falls below {:g} % of log N at some step", 100 * kCollapsed), of.second,
      [](const RegressionRun& run) { return collapsed_layers(run) == run.layers(); },
      fmt::format("layers that do: {}; lowest H/log N {}", in_words(over_runs(of.second, collapsed_layers), "runs", 2),
                  in_words(over_runs(of.second, &RegressionRun::lowest_entropy), "runs")),
      "entropy");
}

report::Claim keeps_claim(const char* id, const RunsOfVariant& of) {
  return claim_of_every(
      id, fmt::format("With {} no layer loses its entropy.", of.first.name()), "Section 5.2, figure 6",
      fmt::format("mean entropy of every layer above {:g} % of log N at every step", 100 * kKept), of.second,
      keeps_entropy,
      fmt::format("lowest H/log N {}", in_words(over_runs(of.second, &RegressionRun::lowest_entropy), "runs")),
      "entropy");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> variants = paper_runs(runs);
  report::Section section;
  section.method = runs.method();
  std::vector<std::pair<std::string, Spread>> collapsed;
  for (const auto& [variant, of] : variants) collapsed.emplace_back(variant.name(), over_runs(of, collapsed_layers));
  section.findings = fmt::format(
      "Layers that collapse in a run: {}. In softmax runs where all do, the last follows the first after {} steps.",
      of_each_variant(collapsed), in_words(over_runs(variants[0].second, spread_of_collapses), "runs"));
  section.claims = {loses_claim("B.fig6/softmax", variants[0]), loses_claim("B.fig6/qk-layernorm", variants[1]),
                    keeps_claim("B.fig6/relu", variants[2]), keeps_claim("B.fig6/elu1", variants[3])};
  section.figures = {multiples_figure(
      {.id = "entropy",
       .title = "Mean entropy of every layer",
       .caption = fmt::format("Lines: median over seeds while half of the runs go on; bands: lowest to highest. {}",
                              kMarkInWords),
       .alternative = "Mean entropy against step, one panel a layer, one colour an attention.",
       .columns = 3},
      layer_panels(variants, "entropy", {"entropy H (nats)"},
                   {{fmt::format("log N = {:.2f}", runs.uniform_entropy()), runs.uniform_entropy()}}))};
  add_links(section, variants);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig6() {
  return {.id = "B.fig6",
          .title = "Mean entropy of every layer over training",
          .source = "Lipschitz paper, figure 6",
          .question = "In which layers does entropy collapse, and when?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
