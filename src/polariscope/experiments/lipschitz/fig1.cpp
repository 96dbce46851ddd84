// Figure 1 of the Lipschitz paper, bottom row: loss, entropy and gradients of in-context regression by attention.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr double kMostLoss = 30.0, kMostGradient = 1000.0;  // drawn
constexpr double kPeak = 100.0;  // of the median gradient norm: above it the gradient has exploded

using RunsOfVariant = std::pair<AttentionVariant, std::vector<RegressionRun>>;

std::vector<double> entropy_of(const RegressionRun& run) { return run.mean_over_layers("entropy"); }

// Below log N at the end, in the mean over layers.
double below_uniform(const RegressionRun& run) { return std::log(run.tokens()) - entropy_of(run).back(); }

bool explodes(const RegressionRun& run) { return run.diverged() || run.gradient_peak() > kPeak; }

report::SeriesChart lines_of(const std::vector<RunsOfVariant>& variants, report::Axis y, const Reading& reading) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  for (const auto& [variant, runs] : variants) add_lines(chart, variant.name(), variant.colour(), runs, reading, true);
  return chart;
}

Multiple panel(std::string title, const report::SeriesChart& chart) {
  return {.title = std::move(title), .spec = report::series_chart(chart), .table = report::table_of(chart)};
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
  std::vector<RunsOfVariant> variants;
  std::vector<std::pair<std::string, Spread>> final_losses, lowest_losses;
  report::Section section;
  for (const AttentionVariant& variant : paper_variants()) {
    variants.emplace_back(variant, runs.read(variant));
    const std::vector<RegressionRun>& of = variants.back().second;
    final_losses.emplace_back(variant.name(), over_runs(of, &RegressionRun::final_loss));
    lowest_losses.emplace_back(variant.name(), over_runs(of, &RegressionRun::lowest_loss));
    for (const RegressionRun& one : of) {
      section.runs.emplace_back(fmt::format("{}, seed {}", variant.name(), one.trained().settings.at("seed").dump()),
                                one.trained().link);
    }
  }
  const auto& softmax = variants[0].second;
  const auto& normed = variants[1].second;
  const auto& relu = variants[2].second;
  const auto& elu = variants[3].second;
  section.method = runs.method();
  section.findings = fmt::format("Loss of the runs that end: {}. Lowest loss on the way (median of 20 steps): {}.",
                                 of_each_variant(final_losses), of_each_variant(lowest_losses));

  section.claims = {loses_claim("B.fig1/softmax-collapses", softmax, "Softmax attention loses its entropy."),
                    explodes_claim("B.fig1/softmax-explodes", softmax, "Softmax attention's gradients explode."),
                    loses_claim("B.fig1/layernorm-collapses", normed, "QK-LayerNorm loses its entropy too."),
                    explodes_claim("B.fig1/layernorm-explodes", normed, "QK-LayerNorm's gradients explode too.")};
  for (report::Claim& claim : kernel_claims("relu", "ReLU kernel", relu)) section.claims.push_back(std::move(claim));
  for (report::Claim& claim : kernel_claims("elu1", "ELU+1 kernel", elu)) section.claims.push_back(std::move(claim));
  const Spread below = over_runs(relu, below_uniform);
  section.claims.push_back(claim_of_every(
      "B.fig1/relu-below", "The ReLU kernel's entropy settles below log N.", "Figure 1; figure 2",
      "log N less the mean entropy over layers is above 0.1 nats at the last step", relu,
      [](const RegressionRun& one) { return below_uniform(one) > 0.1; },
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

  report::SeriesChart entropy = lines_of(variants, {"mean entropy over layers H (nats)"}, entropy_of);
  entropy.references = {{fmt::format("log N = {:.2f}", runs.uniform_entropy()), runs.uniform_entropy()}};
  section.figures.push_back(multiples_figure(
      {.id = "training",
       .title = "Loss, entropy and gradients while four attentions learn",
       .caption = fmt::format(
           "Thin: each run, up to its last finite step; thick: the median while half of the runs go on. Losses above "
           "{:g} and "
           "gradients above {:g} are drawn there. {} of {} "
           "softmax "
           "runs end early, {} of {} with QK-LayerNorm, {} of {} with the ReLU kernel, {} of {} with ELU+1.",
           kMostLoss, kMostGradient, count_of(softmax, diverges), softmax.size(), count_of(normed, diverges),
           normed.size(), count_of(relu, diverges), relu.size(), count_of(elu, diverges), elu.size()),
       .alternative = "Training loss, mean entropy and gradient norm against step, one colour an attention.",
       .columns = 2},
      std::vector<Multiple>{
          panel("loss", lines_of(variants, {"training loss", report::Scale::kLog}, capped("loss", kMostLoss))),
          panel("entropy", entropy),
          panel("gradient",
                lines_of(variants, {"gradient norm", report::Scale::kLog}, capped("gradient_norm", kMostGradient)))}));
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
