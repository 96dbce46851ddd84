// Figure 4 of the Lipschitz paper: the power law (8) along the training of in-context regression.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/variance_entropy.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr std::int64_t kFewestPoints = 50;  // of a layer's trajectory, for an exponent of its own

// The points of one attention: (Var, H) of every layer at every step.
struct Law {
  AttentionVariant variant;
  std::vector<RegressionRun> runs;
  std::vector<metrics::PowerLaw> of_runs;  // all layers together
  std::vector<double> of_layers;           // exponents of layers of runs with kFewestPoints points
  std::int64_t points = 0, left_out = 0;
  metrics::PowerLaw all;
};

// The range of metrics/variance_entropy.h.
bool is_fitted(double variance, double entropy, double uniform) {
  return variance >= 1e-2 && variance <= 1e4 && entropy > 1e-6 && entropy < uniform - 1e-6;
}

Law law_of(const RegressionRuns& runs, const AttentionVariant& variant) {
  Law law{.variant = variant,
          .runs = runs.read(variant),
          .of_runs = {},
          .of_layers = {},
          .all = metrics::fit_power_law({}, {})};
  if (law.runs.empty()) return law;
  std::vector<double> every_variance, every_entropy;
  for (const RegressionRun& run : law.runs) {
    std::vector<double> variance, entropy;
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(run.layers()); ++layer) {
      const std::vector<double>& v = run.log().layer("logit_variance", layer);
      const std::vector<double>& h = run.log().layer("entropy", layer);
      const metrics::PowerLaw one = metrics::variance_entropy_sensitivity(v, h, runs.tokens);
      if (one.points >= kFewestPoints) law.of_layers.push_back(one.exponent);
      variance.insert(variance.end(), v.begin(), v.end());
      entropy.insert(entropy.end(), h.begin(), h.end());
    }
    law.of_runs.push_back(metrics::variance_entropy_sensitivity(variance, entropy, runs.tokens));
    law.points += law.of_runs.back().points;
    law.left_out += law.of_runs.back().left_out;
    every_variance.insert(every_variance.end(), variance.begin(), variance.end());
    every_entropy.insert(every_entropy.end(), entropy.begin(), entropy.end());
  }
  law.all = metrics::variance_entropy_sensitivity(every_variance, every_entropy, runs.tokens);
  return law;
}

Spread exponents(const Law& law) {
  std::vector<double> values;
  for (const metrics::PowerLaw& one : law.of_runs) values.push_back(one.exponent);
  return spread_of(std::move(values));
}

std::string fit_in_words(const Law& law) {
  return fmt::format("{}: β = {} [{}, {}], R² = {}, {} of {} points", law.variant.name(),
                     significant(law.all.exponent, 3), significant(law.all.low, 3), significant(law.all.high, 3),
                     significant(law.all.r_squared, 2), law.points, law.points + law.left_out);
}

Multiple panel_of(const Law& law) {
  report::SeriesChart chart{.x = {"logit variance", report::Scale::kLog},
                            .y = {"H̃ = H/(log N − H)", report::Scale::kLog},
                            .series = {},
                            .references = {},
                            .points = true};
  for (const RegressionRun& run : law.runs) {
    report::Series points{.name = fmt::format("seed {}", run.trained().settings.at("seed").dump()),
                          .x = {},
                          .y = {},
                          .low = {},
                          .high = {},
                          .colour = ""};
    const double uniform = std::log(run.tokens());
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(run.layers()); ++layer) {
      const std::vector<double>& variance = run.log().layer("logit_variance", layer);
      const std::vector<double>& entropy = run.log().layer("entropy", layer);
      for (std::size_t n = 0; n < variance.size(); ++n) {
        if (!is_fitted(variance[n], entropy[n], uniform)) continue;
        points.x.push_back(variance[n]);
        points.y.push_back(metrics::normalised_entropy(entropy[n], uniform));
      }
    }
    chart.series.push_back(std::move(points));
  }
  return {.title = law.variant.name(), .spec = report::series_chart(chart), .table = report::table_of(chart)};
}

report::Claim theory_claim(const Law& law, double theory) {
  const Spread beta = exponents(law);
  return claim_in_words(
      fmt::format("B.fig4/{}-theory", law.variant.attention),
      fmt::format("Along training {} has the exponent of small variances, {:g}.", law.variant.attention, theory),
      "Equation (8); ours",
      fmt::format("β of every run, all layers together, within 0.25 of {:g}; inconclusive under {} runs", theory,
                  kFewestSeeds),
      in_words(beta, "runs"), beta,
      judged(beta.runs, kFewestSeeds, beta.low > theory - 0.25 && beta.high < theory + 0.25), "exponents");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<Law> laws;
  for (const AttentionVariant& variant : paper_variants()) laws.push_back(law_of(runs, variant));
  const Spread softmax = exponents(laws[0]), relu = exponents(laws[2]), elu = exponents(laws[3]);
  report::Section section;
  section.method = runs.method() +
                   " The exponent β of H̃ ∝ Var^β is fitted to (logit variance, entropy) of all layers and steps of a "
                   "run, over points "
                   "with 1e-6 < H < log N − 1e-6 and 1e-2 ≤ Var ≤ 1e4.";
  std::string fits;
  for (const Law& law : laws) fits += (fits.empty() ? "" : "; ") + fit_in_words(law);
  section.findings = fmt::format(
      "All runs together, with 95 % intervals that take points for independent, which they are not: {}.", fits);

  const auto magnitude = [](const Spread& beta) { return std::max(std::abs(beta.low), std::abs(beta.high)); };
  section.claims = {
      claim_in_words(
          "B.fig4/softmax-falls", "Along training softmax's entropy falls with the variance of its logits.",
          "Figure 4; equation (8)",
          fmt::format("β of every run, all layers together, is below 0; inconclusive under {} runs", kFewestSeeds),
          in_words(softmax, "runs"), softmax, judged(softmax.runs, kFewestSeeds, softmax.high < 0.0), "exponents"),
      claim_in_words(
          "B.fig4/kernels-flat", "Along training the kernels answer less to the variance than softmax does.",
          "Figure 4",
          fmt::format("|β| of every kernel run, all layers together, < |β| of every softmax run; inconclusive under {} "
                      "runs of any",
                      kFewestSeeds),
          fmt::format("softmax {}; ReLU {}; ELU+1 {}", in_words(softmax, "runs"), in_words(relu, "runs"),
                      in_words(elu, "runs")),
          softmax,
          judged(std::min({softmax.runs, relu.runs, elu.runs}), kFewestSeeds,
                 softmax.high < 0.0 && std::max(magnitude(relu), magnitude(elu)) < -softmax.high),
          "exponents"),
      theory_claim(laws[0], -1.0), theory_claim(laws[2], 0.0), theory_claim(laws[3], -0.5)};

  std::vector<Multiple> trajectories;
  report::CategoryChart by_layer{.x = {"exponent β of a layer"},
                                 .categories = {},
                                 .low = -1.2,
                                 .high = 0.2,
                                 .references = {{"β = −1", -1.0}, {"β = 0", 0.0}}};
  for (const Law& law : laws) {
    trajectories.push_back(panel_of(law));
    const std::size_t layers = law.runs.empty() ? 0 : law.runs.size() * static_cast<std::size_t>(law.runs[0].layers());
    by_layer.categories.push_back(
        {.name = fmt::format("{} · {} of {}", law.variant.name(), law.of_layers.size(), layers),
         .values = law.of_layers,
         .colour = law.variant.colour()});
  }
  section.figures = {
      multiples_figure(
          {.id = "law",
           .title = "Entropy against the variance of logits, along training",
           .caption = fmt::format(
               "One mark a layer at a step, of those that are fitted, thinned. A straight line is a power law. {}.",
               fits),
           .alternative = "Normalised entropy against logit variance, one panel an attention.",
           .columns = 2,
           .share_x = false},
          trajectories),
      {.id = "exponents",
       .title = "The exponent of each layer",
       .caption =
           fmt::format("One dot a layer of a run with at least {} points inside the range; beside each name how many "
                       "of all layers those are. At small variances softmax has −1, ELU+1 −1/2, ReLU 0.",
                       kFewestPoints),
       .alternative = "Fitted exponents by attention, one dot a layer of a run.",
       .spec = report::category_chart(by_layer),
       .table = report::table_of(by_layer)}};
  section.configuration = configuration_of(runs.all);
  section.differences =
      "Fitted are means over the rows of a layer, as the log keeps them, not single rows. " + runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig4() {
  return {.id = "B.fig4",
          .title = "The power law along training",
          .source = "Lipschitz paper, figure 4 and equation (8)",
          .question = "Does entropy follow a power of the logits' variance while a model learns?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
