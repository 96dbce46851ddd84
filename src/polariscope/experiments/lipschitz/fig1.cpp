// Figure 1 of the Lipschitz paper, bottom row: loss, gradient, entropy and ‖P‖_F of in-context regression.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kBelowUniform = 0.1;  // nats

constexpr double kMostLoss = 30.0, kMostGradient = 1000.0;  // drawn
constexpr double kRisen = 0.5;                              // of √N
constexpr double kPeak = 100.0;  // of the median gradient norm: above it the gradient has exploded

// Of the first layer, at each step.
std::vector<double> first_entropy(const RegressionRun& run) { return run.log().layer("entropy", 0); }
std::vector<double> first_deviation(const RegressionRun& run) { return run.log().layer("entropy_deviation", 0); }
std::vector<double> mean_norm(const RegressionRun& run) { return run.mean_over_layers("frobenius_norm"); }

double below_uniform(const RegressionRun& run) { return run.uniform_entropy() - first_entropy(run).back(); }
double largest_norm(const RegressionRun& run) { return spread_of(mean_norm(run)).high; }

bool explodes(const RegressionRun& run) { return run.diverged() || run.gradient_peak() > kPeak; }

std::vector<double> medians(const Windows& windows) {
  std::vector<double> values;
  for (std::size_t w = 0; w < windows.step.size(); ++w) {
    std::vector<double> of_window;
    for (const std::vector<double>& run : windows.runs) of_window.push_back(run[w]);
    const Spread spread = spread_of(std::move(of_window));
    const bool half = 2 * spread.runs >= static_cast<long long>(windows.runs.size());
    values.push_back(half ? spread.median : std::nan(""));
  }
  return values;
}

// Mean entropy of the first layer, with a band of one standard deviation over its rows.
report::SeriesChart entropy_chart(const RegressionRuns& runs, const std::vector<RunsOfVariant>& variants) {
  report::SeriesChart chart{
      .x = {"step"}, .y = {"entropy H of the first layer (nats)"}, .series = {}, .references = {}};
  for (const auto& [variant, of] : variants) {
    if (of.empty()) continue;
    const Windows entropy = windows_of(of, first_entropy);
    const std::vector<double> deviation = medians(windows_of(of, first_deviation));
    report::Series line{.name = variant.name(),
                        .x = entropy.step,
                        .y = medians(entropy),
                        .low = {},
                        .high = {},
                        .colour = variant.colour()};
    for (std::size_t w = 0; w < line.y.size(); ++w) {
      line.low.push_back(std::max(0.0, line.y[w] - deviation[w]));
      line.high.push_back(line.y[w] + deviation[w]);
    }
    chart.series.push_back(std::move(line));
  }
  chart.references = {{fmt::format("log N = {:.2f}", runs.uniform_entropy()), runs.uniform_entropy()}};
  return chart;
}

report::Claim loses_claim(const char* id, const std::vector<RegressionRun>& runs, std::string statement) {
  return claim_of_every(
      id, std::move(statement), "Section 5.2, figure 1",
      fmt::format("the mean entropy of some layer falls below {:g} % of log N", 100 * kCollapsed), runs, collapses,
      fmt::format("lowest H/log N of a layer {}", in_words(over_runs(runs, &RegressionRun::lowest_entropy), "runs")),
      "training");
}

report::Claim explodes_claim(const char* id, const std::vector<RegressionRun>& runs, std::string statement) {
  return claim_of_every(
      id, std::move(statement), "Section 5.2, figure 1",
      fmt::format("loss or gradient stops being finite, or the gradient's norm exceeds {:g} times its median", kPeak),
      runs, explodes,
      fmt::format("{} not finite in the end; largest over median norm {}", count_of(runs, diverges),
                  in_words(over_runs(runs, &RegressionRun::gradient_peak), "runs")),
      "training");
}

// Of the two kernels.
std::vector<report::Claim> kernel_claims(const std::string& id, const std::string& name,
                                         const std::vector<RegressionRun>& runs) {
  return {
      claim_of_every(
          fmt::format("B.fig1/{}-keeps", id), fmt::format("The {} keeps its entropy.", name), "Section 5.2, figure 1",
          fmt::format("the mean entropy of every layer stays above {:g} % of log N at every step", 100 * kKept), runs,
          keeps_entropy,
          fmt::format("lowest H/log N of a layer {}",
                      in_words(over_runs(runs, &RegressionRun::lowest_entropy), "runs")),
          "training"),
      claim_of_every(
          fmt::format("B.fig1/{}-stable", id), fmt::format("The {}'s gradients do not explode.", name),
          "Section 5.2, figure 1",
          fmt::format("loss and gradient stay finite and the gradient's norm under {:g} times its median", kPeak), runs,
          [](const RegressionRun& run) { return !explodes(run); },
          fmt::format("largest over median norm {}", in_words(over_runs(runs, &RegressionRun::gradient_peak), "runs")),
          "training")};
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> variants = paper_runs(runs);
  std::vector<std::pair<std::string, Spread>> final_losses, lowest_losses, norms;
  report::Section section;
  for (const auto& [variant, of] : variants) {
    final_losses.emplace_back(variant.name(), over_runs(of, &RegressionRun::final_loss));
    lowest_losses.emplace_back(variant.name(), over_runs(of, &RegressionRun::lowest_loss));
    norms.emplace_back(variant.name(), over_runs(of, largest_norm));
  }
  add_links(section, variants);
  const auto& softmax = variants[0].second;
  const auto& normed = variants[1].second;
  const auto& relu = variants[2].second;
  const auto& elu = variants[3].second;
  section.method = runs.method();
  section.findings = fmt::format(
      "Loss of the runs that end: {}. Lowest loss on the way (median of 20 steps): {}. Largest ‖P‖_F, the mean over "
      "layers: "
      "{}.",
      of_each_variant(final_losses), of_each_variant(lowest_losses), of_each_variant(norms));

  section.claims = {loses_claim("B.fig1/softmax-collapses", softmax, "Softmax attention loses its entropy."),
                    explodes_claim("B.fig1/softmax-explodes", softmax, "Softmax attention's gradients explode."),
                    loses_claim("B.fig1/layernorm-collapses", normed, "QK-LayerNorm loses its entropy too."),
                    explodes_claim("B.fig1/layernorm-explodes", normed, "QK-LayerNorm's gradients explode too.")};
  for (report::Claim& claim : kernel_claims("relu", "ReLU kernel", relu)) section.claims.push_back(std::move(claim));
  for (report::Claim& claim : kernel_claims("elu1", "ELU+1 kernel", elu)) section.claims.push_back(std::move(claim));
  const Spread below = over_runs(relu, below_uniform);
  section.claims.push_back(claim_of_every(
      "B.fig1/relu-below", "The ReLU kernel's entropy settles below log N.", "Figure 1; figure 2",
      fmt::format("log N less the first layer's mean entropy is above {} nats at the last step", kBelowUniform), relu,
      [](const RegressionRun& one) { return below_uniform(one) > kBelowUniform; },
      fmt::format("below by {}", in_words(below, "runs", 3, "nats")), "training"));
  const Spread lowest = lowest_losses[0].second;
  const Spread kernel = over_runs(relu, &RegressionRun::final_loss);
  section.claims.push_back(claim_in_words(
      "B.fig1/kernel-loss", "The ReLU kernel ends with a lower loss than softmax ever has.", "Figure 1; ours",
      fmt::format("median final loss of the ReLU kernel < median of softmax's lowest loss (median of 20 steps); "
                  "inconclusive under {} runs of either",
                  kFewestSeeds),
      fmt::format("{} against {}", in_words(kernel, "runs"), in_words(lowest, "runs")), kernel,
      judged(std::min(kernel.runs, lowest.runs), kFewestSeeds, kernel.median < lowest.median), "training"));

  const double softmax_norm = norms[0].second.low, kernel_norm = std::max(norms[2].second.high, norms[3].second.high);
  section.claims.push_back(claim_in_words(
      "B.fig1/norm", "‖P‖_F rises with softmax and stays near 1 with the kernels.", "Section 5.3, figure 1",
      fmt::format(
          "largest mean over layers above {:g} √N in every softmax run and below it in every run of both kernels; "
          "inconclusive under {} runs of any",
          kRisen, kFewestSeeds),
      of_each_variant(norms), norms[0].second,
      judged(std::min({norms[0].second.runs, norms[2].second.runs, norms[3].second.runs}), kFewestSeeds,
             softmax_norm > kRisen * runs.one_hot_norm() && kernel_norm < kRisen * runs.one_hot_norm()),
      "training"));

  report::SeriesChart norm = chart_of_variants(variants, {"‖P‖_F, mean over layers"}, mean_norm, true);
  norm.references = {{"1", 1.0}, {fmt::format("√N = {:.2f}", runs.one_hot_norm()), runs.one_hot_norm()}};
  section.figures.push_back(multiples_figure(
      {.id = "training",
       .title = "Loss, gradient, entropy and ‖P‖_F while four attentions learn",
       .caption = fmt::format(
           "Thin: each run, up to its last finite step; thick: the median while half of the runs go on. Entropy: mean "
           "over "
           "rows and runs of the first layer, with one standard deviation over rows. Losses above {:g} and gradients "
           "above "
           "{:g} are drawn there. {} of {} softmax runs end early, {} of {} with QK-LayerNorm, {} of {} with the ReLU "
           "kernel, {} of {} with ELU+1.",
           kMostLoss, kMostGradient, count_of(softmax, diverges), softmax.size(), count_of(normed, diverges),
           normed.size(), count_of(relu, diverges), relu.size(), count_of(elu, diverges), elu.size()),
       .alternative = "Training loss, gradient norm, the first layer's entropy and the norm of attention against step, "
                      "one colour an attention.",
       .columns = 2},
      std::vector<Multiple>{panel("loss", chart_of_variants(variants, {"training loss", report::Scale::kLog},
                                                            capped("loss", kMostLoss), true)),
                            panel("gradient norm", chart_of_variants(variants, {"gradient norm", report::Scale::kLog},
                                                                     capped("gradient_norm", kMostGradient), true)),
                            panel("entropy", entropy_chart(runs, variants)), panel("norm of attention", norm)}));
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig1() {
  return {.id = "B.fig1",
          .title = "In-context regression: who loses entropy, who explodes",
          .source = "Lipschitz paper, figure 1, bottom row",
          .question = "Do softmax's entropy and stability go together, and do Lipschitz kernels keep both?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
