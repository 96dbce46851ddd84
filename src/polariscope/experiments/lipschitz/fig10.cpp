// Figure 10 of the Lipschitz paper: the entropy of every layer over training, as a map.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/layer_maps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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
    if (!step) return std::numeric_limits<double>::quiet_NaN();
    last = std::max(last, *step);
  }
  return last - first->step;
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const auto variants = paper_runs(runs);
  report::Section section;
  section.method = runs.method();
  std::vector<std::string> words;
  for (const auto& [variant, of] : variants) {
    words.push_back(fmt::format("{} {}", variant.name(), in_words(over_runs(of, collapsed_layers), "runs", 2)));
    if (of.empty()) continue;
    section.runs.emplace_back(fmt::format("{}, drawn", variant.name()), of.front().trained().link);
  }
  const auto& softmax = variants[0].second;
  const Spread between = over_runs(softmax, spread_of_collapses);
  section.findings = fmt::format(
      "Layers that collapse in a run: {}. In softmax runs where all do, the last follows the "
      "first after {} steps.",
      fmt::join(words, "; "), in_words(between, "runs"));
  section.claims = {claim_of_every(
      "B.fig10/every-layer", "With softmax every layer loses its entropy.", "Figure 10",
      fmt::format("mean entropy of each layer falls below {:g} % of log N at some step", 100 * kCollapsed), softmax,
      [](const RegressionRun& one) { return collapsed_layers(one) == one.layers(); },
      fmt::format("layers that do: {}", in_words(over_runs(softmax, collapsed_layers), "runs", 2)), "entropy")};
  for (const std::size_t kernel : {std::size_t{2}, std::size_t{3}}) {
    const auto& [variant, of] = variants[kernel];
    section.claims.push_back(claim_of_every(
        fmt::format("B.fig10/{}", variant.attention),
        fmt::format("With {} no layer loses its entropy.", variant.attention), "Figure 10",
        fmt::format("mean entropy of every layer above {:g} % of log N at every step", 100 * kKept), of, keeps_entropy,
        fmt::format("lowest H/log N {}", in_words(over_runs(of, &RegressionRun::lowest_entropy), "runs")), "entropy"));
  }
  add_layer_maps(section, variants,
                 {.name = "entropy", .title = "entropy H (nats)", .low = 0.0, .high = runs.uniform_entropy()},
                 "entropy", "Entropy of every layer over training",
                 fmt::format("Layers that collapse in a run: {}.", fmt::join(words, "; ")));
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig10() {
  return {.id = "B.fig10",
          .title = "Entropy of every layer as a map over training",
          .source = "Lipschitz paper, figure 10",
          .question = "Do all layers lose their entropy, and in what order?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
