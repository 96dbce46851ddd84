// Ours, of the norm that the Lipschitz paper's section 5.3 speaks of: entropy and Frobenius norm of every layer while
// it is trained.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/straight_line.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kMirrored = 0.9;  // of a correlation, but for its sign

constexpr double kFullNorm = 0.95;  // of √N: the largest norm that a collapsed layer should come to

// Every layer of every run.
template <class Figure>
Spread over_layers(const std::vector<RegressionRun>& runs, const Figure& figure) {
  std::vector<double> values;
  for (const RegressionRun& run : runs) {
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(run.layers()); ++layer) {
      values.push_back(figure(run, layer));
    }
  }
  return spread_of(std::move(values));
}

Multiple layers_panel(const AttentionVariant& variant, const std::vector<RegressionRun>& runs, const char* statistic,
                      report::Axis y, std::vector<report::ReferenceLine> references) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = std::move(references)};
  const int layers = runs.empty() ? 0 : runs.front().layers();
  const std::vector<std::string> colours = report::sequential_colours(static_cast<std::size_t>(layers));
  for (int layer = 0; layer < layers; ++layer) {
    const auto at = static_cast<std::size_t>(layer);
    add_lines(
        chart, fmt::format("layer {}", layer + 1), colours[at], runs,
        [&](const RegressionRun& run) { return run.log().layer(statistic, at); }, false);
  }
  return {.title = variant.name(), .spec = report::series_chart(chart), .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  report::Section section;
  section.method = runs.method();
  std::vector<Multiple> entropies, norms;
  std::vector<std::pair<std::string, Spread>> largest;
  const auto norm_of = [](const RegressionRun& run, std::size_t layer) {
    return spread_of(run.log().layer("frobenius_norm", layer)).high;
  };
  for (const AttentionVariant& variant : paper_variants()) {
    const std::vector<RegressionRun> of = runs.read(variant);
    entropies.push_back(
        layers_panel(variant, of, "entropy", {"entropy H (nats)"},
                     {{fmt::format("log N = {:.2f}", runs.uniform_entropy()), runs.uniform_entropy()}}));
    norms.push_back(layers_panel(
        variant, of, "frobenius_norm", {"‖P‖_F"},
        {{fmt::format("one-hot: √N = {:.2f}", runs.one_hot_norm()), runs.one_hot_norm()}, {"uniform: 1", 1.0}}));
    largest.emplace_back(variant.name(), over_layers(of, norm_of));
    if (variant == paper_variants()[0]) {
      const Spread together = over_layers(of, [](const RegressionRun& one, std::size_t layer) {
        return straight_line(one.log().layer("entropy", layer), one.log().layer("frobenius_norm", layer)).correlation;
      });
      const Spread top = over_runs(of, [&](const RegressionRun& one) {
        const auto collapse = one.first_collapse();
        return collapse ? norm_of(one, static_cast<std::size_t>(collapse->layer)) / runs.one_hot_norm() : std::nan("");
      });
      const auto seeds = static_cast<long long>(of.size());
      section.claims = {
          claim_in_words(
              "B.norm/softmax-norm", "Where softmax collapses, ‖P‖_F rises to √N.", "Proposition 5.2; ours",
              fmt::format("the largest ‖P‖_F of the layer that collapses first is above {:g} √N in every run "
                          "with a collapse; inconclusive under {} of them",
                          kFullNorm, kFewestSeeds),
              fmt::format("{} √N; {} of {} runs have a collapse", in_words(top, "runs"), top.runs, seeds), top,
              judged(top.runs, kFewestSeeds, top.low > kFullNorm), "norm"),
          claim_in_words("B.norm/opposite", "Entropy and ‖P‖_F mirror each other through training.",
                         "Section 5.3; ours",
                         fmt::format("their correlation over the steps is below −{} in every layer of every softmax "
                                     "run; inconclusive under {} runs",
                                     kMirrored, kFewestSeeds),
                         in_words(together, "layers of runs"), together,
                         judged(seeds, kFewestSeeds, together.high < -kMirrored), "entropy")};
    } else if (variant.qk_norm == "no") {
      const Spread norm = largest.back().second;
      section.claims.push_back(claim_in_words(
          fmt::format("B.norm/{}", variant.attention), fmt::format("‖P‖_F of {} stays small.", variant.attention),
          "Section 5.3; ours",
          fmt::format("below √N/2 in every layer at every step of every run; inconclusive under {} runs", kFewestSeeds),
          fmt::format("largest {}; √N/2 is {:.2f}", in_words(norm, "layers of runs"), runs.one_hot_norm() / 2), norm,
          judged(static_cast<long long>(of.size()), kFewestSeeds, norm.high < runs.one_hot_norm() / 2), "norm"));
    }
  }
  section.findings = fmt::format("Largest ‖P‖_F of a layer in a run; √N is {:.2f}: {}.", runs.one_hot_norm(),
                                 of_each_variant(largest));
  const std::string caption =
      "Lines: median over seeds while half of the runs go on; bands: lowest to highest. Where lines end, half of the "
      "runs have stopped being finite.";
  section.figures = {
      multiples_figure({.id = "entropy",
                        .title = "Entropy of every layer",
                        .caption = caption,
                        .alternative = "Entropy against step, one panel an attention, one line a layer.",
                        .columns = 2},
                       entropies),
      multiples_figure({.id = "norm",
                        .title = "‖P‖_F of every layer",
                        .caption = caption,
                        .alternative = "Frobenius norm against step, one panel an attention, one line a layer.",
                        .columns = 2},
                       norms)};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_norm() {
  return {.id = "B.norm",
          .title = "Entropy and norm of every layer over training",
          .source = "Ours; Lipschitz paper, proposition 5.2",
          .question = "Does the norm of attention rise to √N as its entropy falls?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
