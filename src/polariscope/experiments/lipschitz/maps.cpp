// Ours: entropy, norm, logit variance and skewness of every layer over training, as maps.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/layer_maps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kGrowth = 100.0;  // of the first step's logit variance

// In the layer where it is largest.
double largest_of(const RegressionRun& run, const char* statistic) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const std::vector<double>& layer : run.log().layers.at(statistic)) {
    largest = std::max(largest, spread_of(layer).high);
  }
  return largest;
}

// The largest growth of any layer over its first step.
double growth_of(const RegressionRun& run, const char* statistic) {
  double largest = 0.0;
  for (const std::vector<double>& layer : run.log().layers.at(statistic)) {
    largest = std::max(largest, spread_of(layer).high / layer.front());
  }
  return largest;
}

double variance_growth(const RegressionRun& run) { return growth_of(run, "logit_variance"); }
double largest_norm(const RegressionRun& run) { return largest_of(run, "frobenius_norm"); }
double largest_skewness(const RegressionRun& run) { return largest_of(run, "skewness"); }

double collapsed_layers(const RegressionRun& run) {
  int count = 0;
  for (int layer = 0; layer < run.layers(); ++layer) count += run.collapse_of(layer) ? 1 : 0;
  return count;
}

// A softmax run's smallest against the largest of each kernel's runs.
report::Claim above_kernels(const char* id, const char* statement, const char* what, const char* evidence,
                            const std::vector<RunsOfVariant>& variants, double (*figure)(const RegressionRun&)) {
  const Spread softmax = over_runs(variants[0].second, figure), relu = over_runs(variants[2].second, figure),
               elu = over_runs(variants[3].second, figure);
  return claim_in_words(
      id, statement, "Section 5.2; ours",
      fmt::format("{} in every softmax run above that of every run of both kernels; inconclusive under {} runs of any",
                  what, kFewestSeeds),
      fmt::format("softmax {}; ReLU kernel {}; ELU+1 kernel {}", in_words(softmax, "runs"), in_words(relu, "runs"),
                  in_words(elu, "runs")),
      softmax,
      judged(std::min({softmax.runs, relu.runs, elu.runs}), kFewestSeeds, softmax.low > std::max(relu.high, elu.high)),
      evidence);
}

// The largest of each attention, for a caption.
std::string in_words_of_all(const std::vector<RunsOfVariant>& variants, double (*figure)(const RegressionRun&)) {
  std::vector<std::pair<std::string, Spread>> spreads;
  for (const auto& [variant, of] : variants) spreads.emplace_back(variant.name(), over_runs(of, figure));
  return of_each_variant(spreads);
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const auto variants = paper_runs(runs);
  const auto& softmax = variants[0].second;
  report::Section section;
  section.method = runs.method();
  const std::string norms = in_words_of_all(variants, largest_norm),
                    growths = in_words_of_all(variants, variance_growth),
                    skewness = in_words_of_all(variants, largest_skewness);
  section.findings = fmt::format(
      "Largest ‖P‖_F of a layer: {}. Largest growth of a layer's logit variance over its first "
      "step: {}.",
      norms, growths);
  section.claims = {claim_of_every(
                        "B.maps/variance", "Softmax's logits spread while it learns.", "Section 5.2",
                        fmt::format("the logit variance of some layer grows above {:g} times that of step 1", kGrowth),
                        softmax, [](const RegressionRun& one) { return variance_growth(one) > kGrowth; },
                        fmt::format("growth {}", in_words(over_runs(softmax, variance_growth), "runs")), "variance"),
                    above_kernels("B.maps/variance-kernels", "They spread more than those of the kernels.",
                                  "largest growth of a layer's logit variance", "variance", variants, variance_growth),
                    above_kernels("B.maps/norm", "‖P‖_F comes higher with softmax than with the kernels.",
                                  "largest ‖P‖_F of a layer", "norm", variants, largest_norm),
                    above_kernels("B.maps/skewness", "Rows of softmax become more skewed than rows of the kernels.",
                                  "largest mean skewness of a layer", "skewness", variants, largest_skewness)};
  add_layer_maps(section, variants,
                 {.name = "entropy", .title = "entropy H (nats)", .low = 0.0, .high = runs.uniform_entropy()},
                 "entropy", "Entropy of every layer over training",
                 fmt::format("Layers that collapse in a run: {}.", in_words_of_all(variants, collapsed_layers)));
  add_layer_maps(section, variants,
                 {.name = "frobenius_norm", .title = "‖P‖_F", .low = 1.0, .high = runs.one_hot_norm()}, "norm",
                 "‖P‖_F of every layer over training",
                 fmt::format("Largest of a run, in any layer; √N is {:.2f}: {}.", runs.one_hot_norm(), norms));
  add_layer_maps(
      section, variants,
      {.name = "logit_variance", .title = "log₁₀ of the logit variance", .logarithm = true, .high = 6.0}, "variance",
      "Logit variance of every layer over training",
      fmt::format("Variances above 10⁶ have its colour. Largest growth of a layer over its first step: {}.", growths));
  add_layer_maps(section, variants, {.name = "skewness", .title = "skewness of rows"}, "skewness",
                 "Skewness of rows in every layer over training",
                 fmt::format("A one-hot row of {} has {:.2f}. Largest mean of a layer: {}.", runs.tokens,
                             (runs.tokens - 2) / std::sqrt(runs.tokens - 1.0), skewness));
  for (const auto& [variant, of] : variants) {
    if (!of.empty()) section.runs.emplace_back(fmt::format("{}, drawn", variant.name()), of.front().trained().link);
  }
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_maps() {
  return {.id = "B.maps",
          .title = "Entropy, norm, logit variance and skewness of every layer as maps",
          .source = "Ours; Lipschitz paper, section 5.2 and equation (21)",
          .question = "What else moves in a layer whose entropy falls?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
