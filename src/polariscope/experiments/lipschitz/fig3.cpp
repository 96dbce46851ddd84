// Figure 3 of the Lipschitz paper: the variance of the logits over training, in an intermediate layer.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/layer_panels.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/straight_line.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

namespace polariscope::experiments {
namespace {

constexpr double kMostVariance = 1e8;  // drawn
constexpr double kFlat = 10.0;         // times the variance of step 1: below it a line is flat

// log Var over the steps up to the collapse of the layer.
struct Rise {
  StraightLine in_step, in_logarithm;  // against the step, and against its logarithm

  double percent() const { return 100.0 * std::expm1(in_step.slope); }
  bool exponential() const { return in_step.slope > 0.0 && in_step.correlation > in_logarithm.correlation; }
};

const std::vector<double>& variance_of(const RegressionRun& run, int layer) {
  return run.log().layer("logit_variance", static_cast<std::size_t>(layer));
}

// Of a run whose layer collapses after a few steps.
std::optional<Rise> rise_of(const RegressionRun& run, int layer) {
  constexpr std::size_t kFewestSteps = 10;
  const std::optional<double> collapse = run.collapse_of(layer);
  if (!collapse) return std::nullopt;
  std::vector<double> step, log_step, log_variance;
  for (std::size_t n = 0; n < run.log().steps() && run.log().step[n] <= *collapse; ++n) {
    step.push_back(run.log().step[n]);
    log_step.push_back(std::log(step.back()));
    log_variance.push_back(std::log(variance_of(run, layer)[n]));
  }
  if (step.size() < kFewestSteps) return std::nullopt;
  return Rise{straight_line(step, log_variance), straight_line(log_step, log_variance)};
}

double growth_of(const RegressionRun& run, int layer) {
  const std::vector<double>& variance = variance_of(run, layer);
  return spread_of(variance).high / variance.front();
}

report::Claim rises(const char* id, const RunsOfVariant& of, int layer) {
  std::vector<double> percents;
  long long exponential = 0;
  for (const RegressionRun& run : of.second) {
    const std::optional<Rise> rise = rise_of(run, layer);
    if (!rise) continue;
    percents.push_back(rise->percent());
    exponential += rise->exponential() ? 1 : 0;
  }
  const Spread percent = spread_of(percents);
  return claim_in_words(
      id, fmt::format("Up to the collapse, the variance of {}'s logits rises exponentially.", of.first.name()),
      "Section 5.2, figure 3",
      fmt::format(
          "over the steps until the layer's mean entropy is below {:g} % of log N, log Var rises and is nearer to "
          "a line in the step than to one in its logarithm, in every run with a collapse; inconclusive under {}",
          100 * kCollapsed, kFewestSeeds),
      fmt::format("{} a step; {} of {} runs with a collapse, of {}", in_words(percent, "runs", 3, "%"), exponential,
                  percent.runs, of.second.size()),
      percent, judged(percent.runs, kFewestSeeds, exponential == percent.runs), "variance");
}

report::Claim stays_flat(const char* id, const RunsOfVariant& of, int layer) {
  const auto growth = [=](const RegressionRun& run) { return growth_of(run, layer); };
  return claim_of_every(
      id, fmt::format("The variance of the logits of {} stays flat.", of.first.name()), "Section 5.2, figure 3",
      fmt::format("never above {:g} times that of step 1", kFlat), of.second,
      [=](const RegressionRun& run) { return growth_of(run, layer) < kFlat; },
      fmt::format("largest over first {}", in_words(over_runs(of.second, growth), "runs")), "variance");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> variants = paper_runs(runs);
  const int layers = layers_of(variants), layer = layers / 2;
  report::Section section;
  section.method =
      fmt::format("{} Looked at is layer {} of {}: the variance Var_j[Z_ij] of a row's logits, mean over rows.",
                  runs.method(), layer + 1, layers);
  std::vector<std::pair<std::string, Spread>> growths;
  for (const auto& [variant, of] : variants) {
    growths.emplace_back(variant.name(),
                         over_runs(of, [=](const RegressionRun& one) { return growth_of(one, layer); }));
  }
  section.findings = fmt::format("Largest variance over that of step 1: {}.", of_each_variant(growths));
  section.claims = {rises("B.fig3/softmax", variants[0], layer), rises("B.fig3/qk-layernorm", variants[1], layer),
                    stays_flat("B.fig3/relu", variants[2], layer), stays_flat("B.fig3/elu1", variants[3], layer)};
  const report::SeriesChart chart =
      chart_of_variants(variants, {"variance of logits", report::Scale::kLog},
                        capped_layer("logit_variance", static_cast<std::size_t>(layer), kMostVariance), true, layer);
  section.figures = {
      chart_figure("variance", fmt::format("Variance of the logits in layer {}", layer + 1),
                   fmt::format("A straight line is an exponential; variances above {:g} are drawn there. Thin: each "
                               "run, up to its last finite step; thick: the median while "
                               "half of the runs go on. {}",
                               kMostVariance, kMarkInWords),
                   "Variance of the logits of an intermediate layer against step, one colour an attention.", chart)};
  add_links(section, variants);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig3() {
  return {.id = "B.fig3",
          .title = "The variance of logits over training",
          .source = "Lipschitz paper, figure 3",
          .question = "Does the variance of the logits rise exponentially until entropy collapses?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
