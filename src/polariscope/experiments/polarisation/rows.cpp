#include "polariscope/experiments/polarisation/rows.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments::polarisation::rows {
namespace {

constexpr double kNear = 0.05;  // of u to theory

constexpr int kShownRows = 6;

report::SeriesChart agreement_chart(const RowsPlan& plan, const std::vector<Agreement>& agreements) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"fraction with all rows on one column", report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const auto colours = report::sequential_colours(plan.scales.size());
  for (std::size_t s = 0; s < plan.scales.size(); ++s) {
    chart.series.push_back({.name = fmt::format("a₀ scale {}", plan.scales[s]),
                            .x = agreements[s].t,
                            .y = agreements[s].fraction,
                            .low = {},
                            .high = {},
                            .colour = colours[s]});
  }
  return chart;
}

// Rows on a column drive it by s = sigmoid(-u) each, so u_i' = n_i e^{-u_i}: u_i = log(n_i t).
report::SeriesChart split_chart(const RowsPlan& plan, const std::vector<Split>& splits) {
  report::Series points{
      .name = "two columns of one flow", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(0)};
  for (const Split& split : splits) {
    points.x.push_back(split.log_ratio);
    points.y.push_back(split.gap);
  }
  return {.x = {"log(n₁/n₂), numbers of rows on the two columns", report::Scale::kLinear},
          .y = {fmt::format("u₁ − u₂ at t = {}", plain(plan.until)), report::Scale::kLinear},
          .series = {std::move(points)},
          .references = {},
          .points = true};
}

report::Figure rows_figure(const RowsPlan& plan, const flow::Trajectory& shown) {
  std::vector<Multiple> rows;
  std::vector<int> winners;
  double smallest = 1.0;
  const int count = std::min(kShownRows, shown.problem.rows);
  for (int row = 0; row < count; ++row) {
    rows.push_back(coordinate_panel(
        fmt::format("row {}", row), shown,
        {.record = Coordinate::kSigma, .y = {"weight σ(a)", report::Scale::kLog}, .references = {}, .row = row}));
    winners.push_back(final_winner(shown, row));
    smallest = std::min(smallest, final_share(shown, row));
  }
  return multiples_figure(
      {.id = "rows",
       .title = fmt::format("Weights of {} rows against time, a₀ of scale {}", count, plan.scales[plan.shown]),
       .caption = fmt::format("The rows end on columns {}, each with a weight of at least {}.",
                              fmt::join(winners, ", "), significant(smallest, 6)),
       .alternative = fmt::format("Weights of {} tokens against time in {} panels, one a row of scores, log–log.",
                                  shown.problem.tokens, count)},
      rows);
}

std::string per_scale(const RowsPlan& plan, const std::vector<Agreement>& agreements) {
  std::vector<std::string> words;
  for (std::size_t s = 0; s < plan.scales.size(); ++s) {
    words.push_back(fmt::format("{} of {} at scale {}", agreements[s].agree, agreements[s].count, plan.scales[s]));
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

// The trajectories of the first so many scales together.
Agreement together(const std::vector<Agreement>& agreements, std::size_t scales) {
  Agreement all;
  for (std::size_t s = 0; s < scales; ++s) {
    all.agree += agreements[s].agree;
    all.u_wins += agreements[s].u_wins;
    all.count += agreements[s].count;
  }
  return all;
}

Quantities quantities(const Context& context) {
  const RowsPlan p = protocol_of(context.preset);
  return {{"model", fmt::format("rows, T = {}", p.start.rows)},
          {"loss", "logistic, summed over rows"},
          {"re-weighting", "softmax"},
          {"d = k", counted(p.start.tokens)},
          {"V₀", values_in_words(p.start)},
          {"a₀", fmt::format("scale·N(0, 1), scale {}", listed(p.scales))},
          {"step", plain(p.step)},
          counted_quantity("steps", p.steps, "steps"),
          counted_quantity("trajectories a scale", p.trajectories, "trajectories a scale"),
          counted_quantity("flows a scale", p.flows, "flows a scale"),
          {"flows until", fmt::format("t = {}", plain(p.until))},
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const RowsPlan plan = protocol_of(context.preset);
  return describe(plan, rows_runs(context, plan));
}

}  // namespace

RowsPlan protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  RowsPlan plan;
  plan.steps = paper ? 100'000 : 10'000;
  plan.trajectories = paper ? 4096 : 128;
  plan.flows = paper ? 200 : 16;
  return plan;
}

std::vector<report::Claim> judge(const RowsPlan& plan, const RowsRuns& runs) {
  const Spread error = off_theory(runs);
  const std::string until = plain(plan.until);
  return {
      agreement_claim("A.rows/near", "Rows of scores that start close together pick the same column in the end.",
                      fmt::format("all rows have one winner at t = {} of the gradient flow, every trajectory with "
                                  "a₀ scale ≤ {}",
                                  until, plan.scales[plan.near - 1]),
                      together(runs.flow, plan.near), "flow"),
      agreement_claim("A.rows/every", "All rows pick the same column, wherever they start.",
                      fmt::format("all rows have one winner at t = {} of gradient descent, every trajectory of every "
                                  "a₀ scale",
                                  plan.last_time()),
                      together(runs.descent, plan.scales.size()), "descent"),
      agreement_claim("A.rows/forever", "All rows pick the same column in the end, wherever they start.",
                      fmt::format("all rows have one winner at t = {} of the gradient flow, every trajectory of every "
                                  "a₀ scale",
                                  until),
                      together(runs.flow, plan.scales.size()), "flow"),
      claim(
          "A.rows/split", "Where rows stay split, their columns' u differ only by the log of their numbers of rows.",
          "ours",
          fmt::format("|u₁ − u₂ − log(n₁/n₂)| < {} at t = {}, every two columns with rows of every flow", kNear, until),
          error, "pairs", error.high < kNear, "split"),
  };
}

report::Section describe(const RowsPlan& p, const RowsRuns& runs) {
  const Agreement descended = together(runs.descent, p.scales.size());
  report::Section section;
  section.method = fmt::format(
      "{} rows of softmax scores read one V and every row fits the same β by logistic loss; d = k = {}, V₀ = {}, a₀ = "
      "scale·N(0, 1) with scale from {} to {}. Gradient descent with step {} from {} random starts a scale, {} steps; "
      "and the gradient flow itself to t = {} from the first {} of each.",
      p.start.rows, p.start.tokens, values_in_words(p.start), p.scales.front(), p.scales.back(), plain(p.step),
      counted(p.trajectories), counted(p.steps), plain(p.until), p.flows);
  section.findings = fmt::format(
      "Trajectories on which all {} rows have the same winner, at t = {}: {}; at t = {}: {}. Where the rows agree "
      "by descent, their column is argmax u₀ in {} of {}. Where they do not, theory gives a column with n rows "
      "u near log(n t), so that no column outgrows another by more than the log of a ratio of rows: u₁ − u₂ is off "
      "log(n₁/n₂) by {}.",
      p.start.rows, p.last_time(), per_scale(p, runs.descent), plain(p.until), per_scale(p, runs.flow),
      descended.u_wins, descended.agree, in_words(off_theory(runs), "pairs", 2));
  section.claims = judge(p, runs);
  section.figures = {
      chart_figure("descent", "Agreement of the rows against time, gradient descent",
                   fmt::format("All rows agree at the end in {}.", per_scale(p, runs.descent)),
                   "Fraction of trajectories whose rows all have one winner against time, by scale of a₀.",
                   agreement_chart(p, runs.descent)),
      chart_figure(
          "flow", fmt::format("Agreement of the rows against time, gradient flow to t = {}", plain(p.until)),
          fmt::format("All rows agree at the end in {}.", per_scale(p, runs.flow)),
          fmt::format("Fraction of flows whose rows all have one winner against time up to {}, by scale of a₀.",
                      plain(p.until)),
          agreement_chart(p, runs.flow)),
      chart_figure("split", "Columns that share the rows: what sets their u apart",
                   fmt::format("Theory is the diagonal u₁ − u₂ = log(n₁/n₂); the pairs lie off it by {}.",
                               in_words(off_theory(runs), "pairs", 2)),
                   "Difference of u against the log of the ratio of numbers of rows, one point for two columns.",
                   split_chart(p, runs.splits)),
      rows_figure(p, runs.shown),
  };
  return section;
}

}  // namespace polariscope::experiments::polarisation::rows

namespace polariscope::experiments {

Experiment a_rows() {
  return {.id = "A.rows",
          .title = "Rows with shared values pick the same column if they start close together",
          .source = "Polarisation paper, section 4.1",
          .question = "Do all rows of an attention map end on one column, as in an attention sink?",
          .protocol = polarisation::rows::quantities,
          .run = polarisation::rows::run};
}

}  // namespace polariscope::experiments
