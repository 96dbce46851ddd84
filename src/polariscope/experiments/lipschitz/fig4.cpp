// Figure 4 of the Lipschitz paper: the power law (8) along the training of in-context regression.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/sequence_records.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/variance_entropy.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::experiments {
namespace {

constexpr double kNearTheory = 0.25;  // of an exponent

// One attention: the points (Var, H) of single rows, and beside them those of layers' means.
struct Law {
  AttentionVariant variant;
  std::vector<RegressionRun> runs;
  RowRecords rows;                         // of all runs
  std::vector<metrics::PowerLaw> of_runs;  // of the rows, all layers together
  std::vector<metrics::PowerLaw> of_means;
  std::int64_t points = 0, left_out = 0;
  metrics::PowerLaw all;
};

void append(std::vector<double>& to, const std::vector<double>& more) { to.insert(to.end(), more.begin(), more.end()); }

std::vector<double> joined(const std::vector<std::vector<double>>& parts) {
  std::vector<double> all;
  for (const std::vector<double>& part : parts) append(all, part);
  return all;
}

// Of a run, or of all; a run that left no rows counts in none.
metrics::PowerLaw fit(const RowRecords& rows, int tokens) {
  return metrics::variance_entropy_sensitivity(joined(rows.variance), joined(rows.entropy), tokens);
}

metrics::PowerLaw fit_of_means(const RegressionRun& run) {
  return metrics::variance_entropy_sensitivity(joined(run.log().layers.at("logit_variance")),
                                               joined(run.log().layers.at("entropy")), run.tokens());
}

Law law_of(const RegressionRuns& runs, const AttentionVariant& variant) {
  Law law{.variant = variant,
          .runs = runs.read(variant),
          .rows = {},
          .of_runs = {},
          .of_means = {},
          .all = metrics::fit_power_law({}, {})};
  for (const RegressionRun& run : law.runs) {
    law.of_means.push_back(fit_of_means(run));
    const RowRecords rows = rows_of(run);
    if (rows.entropy.empty()) continue;
    law.of_runs.push_back(fit(rows, run.tokens()));
    law.points += law.of_runs.back().points;
    law.left_out += law.of_runs.back().left_out;
    law.rows.variance.resize(std::max(law.rows.variance.size(), rows.variance.size()));
    law.rows.entropy.resize(law.rows.variance.size());
    for (std::size_t layer = 0; layer < rows.variance.size(); ++layer) {
      append(law.rows.variance[layer], rows.variance[layer]);
      append(law.rows.entropy[layer], rows.entropy[layer]);
    }
  }
  if (law.points > 0) law.all = fit(law.rows, runs.tokens);
  return law;
}

std::vector<double> exponents_of(const std::vector<metrics::PowerLaw>& laws) {
  std::vector<double> values;
  for (const metrics::PowerLaw& one : laws) values.push_back(one.exponent);
  return values;
}
Spread exponents(const Law& law) { return spread_of(exponents_of(law.of_runs)); }

std::string fit_in_words(const Law& law) {
  return fmt::format("{}: β = {} [{}, {}], R² = {}, {} of {} points", law.variant.name(),
                     significant(law.all.exponent, 3), significant(law.all.low, 3), significant(law.all.high, 3),
                     significant(law.all.r_squared, 2), law.points, law.points + law.left_out);
}

// Rows coloured by layer, and the law fitted to all of them over the variances that it was fitted to.
Multiple panel_of(const Law& law, int tokens) {
  report::SeriesChart chart{.x = {"variance of a row's logits", report::Scale::kLog},
                            .y = {"H̃ = H/(log N − H)", report::Scale::kLog},
                            .series = {},
                            .references = {},
                            .points = true};
  const double uniform = std::log(tokens);
  const std::size_t layers = law.rows.variance.size();
  const std::vector<std::string> colours = report::sequential_colours(layers);
  double low = std::numeric_limits<double>::infinity(), high = 0.0;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    report::Series points{
        .name = fmt::format("layer {}", layer + 1), .x = {}, .y = {}, .low = {}, .high = {}, .colour = colours[layer]};
    for (std::size_t n = 0; n < law.rows.variance[layer].size(); ++n) {
      const double variance = law.rows.variance[layer][n], entropy = law.rows.entropy[layer][n];
      if (!metrics::is_fitted(variance, entropy, uniform)) continue;
      points.x.push_back(variance);
      points.y.push_back(metrics::normalised_entropy(entropy, uniform));
      low = std::min(low, variance);
      high = std::max(high, variance);
    }
    chart.series.push_back(std::move(points));
  }
  if (law.all.points > 1) {
    report::Series line{.name = "fitted law",
                        .x = {low, high},
                        .y = {},
                        .low = {},
                        .high = {},
                        .colour = report::named_colour("red"),
                        .line = true};
    for (const double x : line.x) line.y.push_back(std::exp(law.all.intercept) * std::pow(x, law.all.exponent));
    chart.series.push_back(std::move(line));
  }
  return panel(fmt::format("{}, β = {}", law.variant.name(), significant(law.all.exponent, 2)), chart);
}

report::Claim theory_claim(const Law& law, double theory) {
  const Spread beta = exponents(law);
  return claim_in_words(
      fmt::format("B.fig4/{}-theory", law.variant.attention),
      fmt::format("Along training rows of {} have the exponent of small variances, {:g}.", law.variant.attention,
                  theory),
      "Equation (8); ours",
      fmt::format("β of every run, all layers together, within {} of {:g}; inconclusive under {} runs", kNearTheory,
                  theory, kFewestSeeds),
      in_words(beta, "runs"), beta,
      judged(beta.runs, kFewestSeeds, beta.low > theory - kNearTheory && beta.high < theory + kNearTheory),
      "exponents");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<Law> laws;
  for (const AttentionVariant& variant : paper_variants()) laws.push_back(law_of(runs, variant));
  const Spread softmax = exponents(laws[0]), relu = exponents(laws[2]), elu = exponents(laws[3]);
  report::Section section;
  section.method =
      runs.method() +
      fmt::format(
          " The exponent β of H̃ ∝ Var^β is fitted to (variance of its logits, entropy) of every row of all layers, of "
          "one unseen sequence at steps spread evenly over a run, over points with {0:g} < H < log N − {0:g} and "
          "{1:g} ≤ Var ≤ {2:g}; and beside it to the log's means over the rows and batch of a layer, at every step.",
          metrics::kEntropyMargin, metrics::kSmallestVariance, metrics::kLargestVariance);
  std::string fits;
  for (const Law& law : laws) fits += (fits.empty() ? "" : "; ") + fit_in_words(law);
  section.findings = fmt::format(
      "All runs together, with 95 % intervals that take points for independent, which they are not: {}.", fits);

  const auto magnitude = [](const Spread& beta) { return std::max(std::abs(beta.low), std::abs(beta.high)); };
  section.claims = {
      claim_in_words(
          "B.fig4/softmax-falls",
          "Along training the entropy of softmax's rows falls with the variance of their logits.",
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
  report::CategoryChart both{.x = {"exponent β of a run"},
                             .categories = {},
                             .low = -1.2,
                             .high = 0.2,
                             .references = {{"β = −1", -1.0}, {"β = 0", 0.0}}};
  for (const Law& law : laws) {
    trajectories.push_back(panel_of(law, runs.tokens));
    both.categories.push_back(
        {.name = law.variant.name() + " · rows", .values = exponents_of(law.of_runs), .colour = law.variant.colour()});
    both.categories.push_back({.name = law.variant.name() + " · means",
                               .values = exponents_of(law.of_means),
                               .colour = law.variant.colour()});
  }
  section.figures = {
      multiples_figure(
          {.id = "law",
           .title = "Entropy of rows against the variance of their logits, along training",
           .caption = fmt::format("One mark a row, of those that are fitted, thinned; all seeds. The line is the "
                                  "power law fitted to all of them. {}.",
                                  fits),
           .alternative = "Normalised entropy of rows against the variance of their logits with the fitted "
                          "power law, one panel an attention.",
           .columns = 2,
           .share_x = false},
          trajectories),
      {.id = "exponents",
       .title = "The exponent from rows, and from means",
       .caption = "One dot a run, all layers together: fitted to its rows, and to the means over the rows of a layer. "
                  "At small "
                  "variances softmax has −1, ELU+1 −1/2, ReLU 0.",
       .alternative = "Fitted exponents by attention, from rows and from means, one dot a run.",
       .spec = report::category_chart(both),
       .table = report::table_of(both)}};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig4() {
  return {.id = "B.fig4",
          .title = "The power law of rows along training",
          .source = "Lipschitz paper, figure 4 and equation (8)",
          .question = "Does the entropy of a row follow a power of its logits' variance while a model learns?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
