// Section 4.1 of the polarisation paper: many rows of scores that share their values pick the same column.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/flow_section.h"
#include "polariscope/experiments/long_flows.h"
#include "polariscope/experiments/multiples.h"
#include "polariscope/experiments/readings.h"
#include "polariscope/flow/ensemble.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polariscope {
namespace {

constexpr int kDim = 8;
constexpr int kRows = 8;
constexpr double kStep = 0.1;
constexpr std::array kScales{0.01, 0.1, 0.3, 1.0, 3.0};  // of a₀: what sets the rows apart
constexpr std::size_t kShownScale = 3;

struct Sizes {
  std::int64_t trajectories, steps;
  int flows;
};
constexpr Sizes kQuick{128, 10'000, 16};
constexpr Sizes kPaper{4096, 100'000, 200};

Start draw(double scale, std::uint64_t seed, std::uint64_t trajectory) {
  StartOptions options;
  options.outputs = options.tokens = kDim;
  options.rows = kRows;
  options.score_scale = scale;
  return random_start(Model::kRows, Loss::kLogistic, find_reweighting("softmax"), options, seed, trajectory);
}

bool agree_at(const Trajectory& trajectory, std::size_t record) {
  const auto winners = std::span(trajectory.winner).subspan(record * kRows, kRows);
  return static_cast<std::size_t>(std::ranges::count(winners, winners.front())) == winners.size();
}

// Of the trajectories from starts of one scale: how many have all rows on one column.
struct Agreement {
  std::vector<double> t, fraction;  // at every record
  long long agree = 0;              // at the last one
  long long u_wins = 0;             // likewise, and the column is argmax u₀
  long long count = 0;

  void add(const Trajectory& trajectory) {
    if (t.empty()) {
      t = trajectory.t;
      fraction.assign(t.size(), 0.0);
    }
    for (std::size_t p = 0; p < t.size(); ++p) fraction[p] += agree_at(trajectory, p);
    const bool agreed = agree_at(trajectory, t.size() - 1);
    agree += agreed;
    u_wins += agreed && final_winner(trajectory) == leader_of_u(trajectory);
    ++count;
  }
  void finish() {
    for (double& f : fraction) f /= static_cast<double>(count);
  }
};

// Two columns that both still have rows at the end of a flow.
struct Split {
  double log_ratio;  // log(n₁/n₂) of their numbers of rows, n₁ ≥ n₂
  double gap;        // u₁ - u₂
};

void add_splits(const Trajectory& flow, std::vector<Split>& splits) {
  std::array<int, kDim> rows{};
  for (int row = 0; row < kRows; ++row) ++rows[final_winner(flow, row)];
  const auto u = std::span(flow.u).last(kDim);
  for (int one = 0; one < kDim; ++one) {
    for (int other = 0; other < kDim; ++other) {
      const bool ordered = rows[one] > rows[other] || (rows[one] == rows[other] && one < other);
      if (rows[other] == 0 || !ordered) continue;
      splits.push_back({std::log(static_cast<double>(rows[one]) / rows[other]), u[one] - u[other]});
    }
  }
}

struct Runs {
  std::vector<Agreement> descent, flow;  // by scale
  std::vector<Split> splits;             // of all flows
  Trajectory shown;
};

std::vector<Agreement> run_descents(const Context& context, const Sizes& sizes) {
  Progress progress = context.progress(sizes.trajectories * kScales.size(), "trajectories");
  std::vector<Agreement> result;
  for (const double scale : kScales) {
    std::vector<Trajectory> kept(sizes.trajectories);  // visited in any order, added in theirs
    const auto before = static_cast<std::int64_t>(result.size()) * sizes.trajectories;
    descend_ensemble(
        [&](std::int64_t i) { return draw(scale, context.seed, i); },
        {.trajectories = sizes.trajectories,
         .threads = context.threads,
         .descent = {.step = kStep, .steps = sizes.steps, .samples = {}, .singular_values = false, .progress = {}},
         .progress = [&](std::int64_t done) { progress.update(before + done); }},
        [&](std::int64_t i, const Trajectory& trajectory) {
          // Only what is counted, so that thousands fit into memory.
          kept[i].problem = trajectory.problem;
          kept[i].t = trajectory.t;
          kept[i].u = trajectory.u;
          kept[i].winner = trajectory.winner;
        });
    Agreement agreement;
    for (const Trajectory& trajectory : kept) agreement.add(trajectory);
    agreement.finish();
    progress.update(before + sizes.trajectories, fmt::format("rows agree in {:.3f}", agreement.fraction.back()));
    result.push_back(std::move(agreement));
  }
  progress.finish();
  return result;
}

Runs run_all(const Context& context, const Sizes& sizes) {
  Runs runs{.descent = run_descents(context, sizes), .flow = {}, .splits = {}, .shown = {}};
  std::vector<Start> starts;
  for (const double scale : kScales) {
    for (int i = 0; i < sizes.flows; ++i) starts.push_back(draw(scale, context.seed, i));
  }
  const std::vector<Trajectory> flows =
      integrate_all(context, starts, {.until = kForever, .times = {}, .events = false, .progress = {}});
  runs.flow.resize(kScales.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    if (flows[i].points() == 0) continue;
    runs.flow[i / sizes.flows].add(flows[i]);
    add_splits(flows[i], runs.splits);
  }
  for (Agreement& agreement : runs.flow) agreement.finish();
  runs.shown = flows[kShownScale * sizes.flows];
  return runs;
}

SeriesChart agreement_chart(const std::vector<Agreement>& agreements) {
  SeriesChart chart{.x = {"time t", Scale::kLog},
                    .y = {"fraction with all rows on one column", Scale::kLinear},
                    .series = {},
                    .references = {{"all agree", 1.0}}};
  const auto colours = sequential_colours(kScales.size());
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
SeriesChart split_chart(const std::vector<Split>& splits) {
  Series points{
      .name = "two columns of one flow", .x = {}, .y = {}, .low = {}, .high = {}, .colour = palette_colour(0)};
  for (const Split& split : splits) {
    points.x.push_back(split.log_ratio);
    points.y.push_back(split.gap);
  }
  return {.x = {"log(n₁/n₂), numbers of rows on the two columns", Scale::kLinear},
          .y = {"u₁ − u₂ at t = 1e299", Scale::kLinear},
          .series = {std::move(points)},
          .references = {},
          .points = true};
}

Figure rows_figure(const Trajectory& shown) {
  std::vector<Multiple> rows;
  for (const int row : {0, 1, 2, 3, 4, 5}) {
    rows.push_back(coordinate_panel(
        fmt::format("row {}", row), shown,
        {.record = Coordinate::kSigma, .y = {"weight σ(a)", Scale::kLog}, .references = {}, .row = row}));
  }
  return multiples_figure(
      {.id = "rows",
       .title = fmt::format("Weights of six rows against time, a₀ of scale {}", kScales[kShownScale]),
       .caption =
           "Each row becomes one-hot on a column of its own choice; some change their mind late: mind the horizon "
           "of 1e299.",
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

Claim agreement_claim(std::string id, std::string statement, std::string criterion, const Agreement& counted,
                      std::string evidence) {
  return claim_of_count(std::move(id), std::move(statement), "Section 4.1", std::move(criterion), counted.agree,
                        counted.count, "trajectories", counted.agree == counted.count, std::move(evidence));
}

std::vector<Claim> claims_of(const Runs& runs, double last) {
  Agreement near, every, forever;
  near.agree = runs.flow[0].agree + runs.flow[1].agree;
  near.count = runs.flow[0].count + runs.flow[1].count;
  every.agree = total(runs.descent, &Agreement::agree);
  every.count = total(runs.descent, &Agreement::count);
  forever.agree = total(runs.flow, &Agreement::agree);
  forever.count = total(runs.flow, &Agreement::count);
  std::vector<double> errors;
  for (const Split& split : runs.splits) errors.push_back(std::abs(split.gap - split.log_ratio));
  const Spread error = spread_of(errors);
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

Section run(const Context& context) {
  const Sizes sizes = context.paper() ? kPaper : kQuick;
  const Runs runs = run_all(context, sizes);
  const double last = kStep * static_cast<double>(sizes.steps);

  Section section;
  section.method = fmt::format(
      "{} rows of softmax scores read one V and every row fits the same β by logistic loss; d = k = {}, V₀ = 0.1·N(0, "
      "1), a₀ = scale·N(0, 1) with scale from {} to {}. Gradient descent with step {} from {} random starts a scale, "
      "{} "
      "steps; and the gradient flow itself to t = 1e299 from the first {} of each.",
      kRows, kDim, kScales.front(), kScales.back(), kStep, sizes.trajectories, sizes.steps, sizes.flows);
  section.findings = fmt::format(
      "At t = {} all {} rows have the same winner in {} trajectories: the wider the rows start apart, the fewer. At t "
      "= "
      "1e299 it is {}. Where the rows agree by gradient descent, their column is argmax u₀ in {} of {}. Rows that "
      "do not agree hold each other up: a column with n rows has u near log(n t), so no column outgrows another by "
      "more "
      "than the log of a ratio of rows, and nothing draws the minority away.",
      last, kRows, per_scale(runs.descent), per_scale(runs.flow), total(runs.descent, &Agreement::u_wins),
      total(runs.descent, &Agreement::agree));
  section.claims = claims_of(runs, last);
  section.figures = {
      chart_figure("descent", "Agreement of the rows against time, gradient descent",
                   "Rows that start close together soon agree; rows that start far apart wait for their columns to "
                   "lose.",
                   "Fraction of trajectories whose rows all have one winner against time, by scale of a₀.",
                   agreement_chart(runs.descent)),
      chart_figure("flow", "Agreement of the rows against time, gradient flow to t = 1e299",
                   "Some rows turn long after any training would have ended; those that start far apart stay apart.",
                   "Fraction of flows whose rows all have one winner against time up to 1e299, by scale of a₀.",
                   agreement_chart(runs.flow)),
      chart_figure("split", "Columns that share the rows: what sets their u apart",
                   "Every pair of columns lies on the diagonal u₁ − u₂ = log(n₁/n₂).",
                   "Difference of u against the log of the ratio of numbers of rows, one point for two columns.",
                   split_chart(runs.splits)),
      rows_figure(runs.shown),
  };
  section.configuration = {{"model", fmt::format("rows, T = {}", kRows)},
                           {"loss", "logistic, summed over rows"},
                           {"re-weighting", "softmax"},
                           {"d = k", fmt::format("{}", kDim)},
                           {"V₀", "0.1·N(0, 1)"},
                           {"a₀", fmt::format("scale·N(0, 1), scale {}", fmt::join(kScales, ", "))},
                           {"step", fmt::format("{}", kStep)},
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

}  // namespace polariscope
