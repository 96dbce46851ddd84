// Section 4.1 of the polarisation paper: many rows of scores that share their values pick the same column.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/rows_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr RowsPlan kQuick{128, 10'000, 16};
constexpr RowsPlan kPaper{4096, 100'000, 200};
constexpr auto& kScales = RowsPlan::kScales;

report::SeriesChart agreement_chart(const std::vector<Agreement>& agreements) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"fraction with all rows on one column", report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const auto colours = report::sequential_colours(kScales.size());
  for (std::size_t s = 0; s < kScales.size(); ++s) {
    chart.series.push_back({.name = fmt::format("a₀ scale {}", kScales[s]),
                            .x = agreements[s].t,
                            .y = agreements[s].fraction,
                            .low = {},
                            .high = {},
                            .colour = colours[s]});
  }
  return chart;
}

// Rows on a column drive it by s = sigmoid(-u) each, so u_i' = n_i e^{-u_i}: u_i = log(n_i t).
report::SeriesChart split_chart(const std::vector<Split>& splits) {
  report::Series points{
      .name = "two columns of one flow", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(0)};
  for (const Split& split : splits) {
    points.x.push_back(split.log_ratio);
    points.y.push_back(split.gap);
  }
  return {.x = {"log(n₁/n₂), numbers of rows on the two columns", report::Scale::kLinear},
          .y = {"u₁ − u₂ at t = 1e299", report::Scale::kLinear},
          .series = {std::move(points)},
          .references = {},
          .points = true};
}

report::Figure rows_figure(const flow::Trajectory& shown) {
  std::vector<Multiple> rows;
  std::vector<int> winners;
  double smallest = 1.0;
  for (const int row : {0, 1, 2, 3, 4, 5}) {
    rows.push_back(coordinate_panel(
        fmt::format("row {}", row), shown,
        {.record = Coordinate::kSigma, .y = {"weight σ(a)", report::Scale::kLog}, .references = {}, .row = row}));
    winners.push_back(final_winner(shown, row));
    smallest = std::min(smallest, final_share(shown, row));
  }
  return multiples_figure(
      {.id = "rows",
       .title = fmt::format("Weights of six rows against time, a₀ of scale {}", kScales[RowsPlan::kShownScale]),
       .caption = fmt::format("The rows end on columns {}, each with a weight of at least {}.",
                              fmt::join(winners, ", "), significant(smallest, 6)),
       .alternative = "Weights of eight tokens against time in six panels, one a row of scores, log–log."},
      rows);
}

long long total(const std::vector<Agreement>& agreements, long long Agreement::*figure) {
  long long sum = 0;
  for (const Agreement& agreement : agreements) sum += agreement.*figure;
  return sum;
}

std::string per_scale(const std::vector<Agreement>& agreements) {
  std::vector<std::string> words;
  for (std::size_t s = 0; s < kScales.size(); ++s) {
    words.push_back(fmt::format("{} of {} at scale {}", agreements[s].agree, agreements[s].count, kScales[s]));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

report::Claim agreement_claim(std::string id, std::string statement, std::string criterion, const Agreement& counted,
                              std::string evidence) {
  return claim_of_count(std::move(id), std::move(statement), "Section 4.1", std::move(criterion), counted.agree,
                        counted.count, "trajectories", counted.agree == counted.count, std::move(evidence));
}

// |u₁ − u₂ − log(n₁/n₂)| of two columns that share the rows of a flow.
Spread off_theory(const RowsRuns& runs) {
  std::vector<double> errors;
  for (const Split& split : runs.splits) errors.push_back(std::abs(split.gap - split.log_ratio));
  return spread_of(std::move(errors));
}

std::vector<report::Claim> claims_of(const RowsRuns& runs, double last) {
  Agreement near, every, forever;
  near.agree = runs.flow[0].agree + runs.flow[1].agree;
  near.count = runs.flow[0].count + runs.flow[1].count;
  every.agree = total(runs.descent, &Agreement::agree);
  every.count = total(runs.descent, &Agreement::count);
  forever.agree = total(runs.flow, &Agreement::agree);
  forever.count = total(runs.flow, &Agreement::count);
  const Spread error = off_theory(runs);
  return {
      agreement_claim("A.rows/near", "Rows of scores that start close together pick the same column in the end.",
                      fmt::format("all rows have one winner at t = 1e299 of the gradient flow, every trajectory with "
                                  "a₀ scale ≤ {}",
                                  kScales[1]),
                      near, "flow"),
      agreement_claim("A.rows/every", "All rows pick the same column, wherever they start.",
                      fmt::format("all rows have one winner at t = {} of gradient descent, every trajectory of every "
                                  "a₀ scale",
                                  last),
                      every, "descent"),
      agreement_claim("A.rows/forever", "All rows pick the same column in the end, wherever they start.",
                      "all rows have one winner at t = 1e299 of the gradient flow, every trajectory of every a₀ scale",
                      forever, "flow"),
      claim("A.rows/split", "Where rows stay split, their columns' u differ only by the log of their numbers of rows.",
            "ours", "|u₁ − u₂ − log(n₁/n₂)| < 0.05 at t = 1e299, every two columns with rows of every flow", error,
            "pairs", error.high < 0.05, "split"),
  };
}

report::Section run(const Context& context) {
  const RowsPlan sizes = context.paper() ? kPaper : kQuick;
  const RowsRuns runs = rows_runs(context, sizes);
  const double last = RowsPlan::kStep * static_cast<double>(sizes.steps);

  report::Section section;
  section.method = fmt::format(
      "{} rows of softmax scores read one V and every row fits the same β by logistic loss; d = k = {}, V₀ = 0.1·N(0, "
      "1), a₀ = scale·N(0, 1) with scale from {} to {}. Gradient descent with step {} from {} random starts a scale, "
      "{} "
      "steps; and the gradient flow itself to t = 1e299 from the first {} of each.",
      RowsPlan::kRows, RowsPlan::kDim, kScales.front(), kScales.back(), RowsPlan::kStep, sizes.trajectories,
      sizes.steps, sizes.flows);
  section.findings = fmt::format(
      "Trajectories on which all {} rows have the same winner, at t = {}: {}; at t = 1e299: {}. Where the rows agree "
      "by descent, their column is argmax u₀ in {} of {}. Where they do not, theory gives a column with n rows "
      "u near log(n t), so that no column outgrows another by more than the log of a ratio of rows: u₁ − u₂ is off "
      "log(n₁/n₂) by {}.",
      RowsPlan::kRows, last, per_scale(runs.descent), per_scale(runs.flow), total(runs.descent, &Agreement::u_wins),
      total(runs.descent, &Agreement::agree), in_words(off_theory(runs), "pairs", 2));
  section.claims = claims_of(runs, last);
  section.figures = {
      chart_figure("descent", "Agreement of the rows against time, gradient descent",
                   fmt::format("All rows agree at the end in {}.", per_scale(runs.descent)),
                   "Fraction of trajectories whose rows all have one winner against time, by scale of a₀.",
                   agreement_chart(runs.descent)),
      chart_figure("flow", "Agreement of the rows against time, gradient flow to t = 1e299",
                   fmt::format("All rows agree at the end in {}.", per_scale(runs.flow)),
                   "Fraction of flows whose rows all have one winner against time up to 1e299, by scale of a₀.",
                   agreement_chart(runs.flow)),
      chart_figure("split", "Columns that share the rows: what sets their u apart",
                   fmt::format("Theory is the diagonal u₁ − u₂ = log(n₁/n₂); the pairs lie off it by {}.",
                               in_words(off_theory(runs), "pairs", 2)),
                   "Difference of u against the log of the ratio of numbers of rows, one point for two columns.",
                   split_chart(runs.splits)),
      rows_figure(runs.shown),
  };
  section.configuration = {{"model", fmt::format("rows, T = {}", RowsPlan::kRows)},
                           {"loss", "logistic, summed over rows"},
                           {"re-weighting", "softmax"},
                           {"d = k", fmt::format("{}", RowsPlan::kDim)},
                           {"V₀", "0.1·N(0, 1)"},
                           {"a₀", fmt::format("scale·N(0, 1), scale {}", fmt::join(kScales, ", "))},
                           {"step", fmt::format("{}", RowsPlan::kStep)},
                           {"steps", fmt::format("{}", sizes.steps)},
                           {"trajectories a scale", fmt::format("{}", sizes.trajectories)},
                           {"flows a scale", fmt::format("{}, to t = 1e299", sizes.flows)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper()) {
    section.differences = fmt::format(
        "{} trajectories a scale of {} steps and {} flows, where the paper preset takes "
        "{} of {} and {}.",
        kQuick.trajectories, kQuick.steps, kQuick.flows, kPaper.trajectories, kPaper.steps, kPaper.flows);
  }
  return section;
}

}  // namespace

Experiment a_rows() {
  return {.id = "A.rows",
          .title = "Rows with shared values pick the same column if they start close together",
          .source = "Polarisation paper, section 4.1",
          .question = "Do all rows of an attention map end on one column, as in an attention sink?",
          .run = run};
}

}  // namespace polariscope::experiments
