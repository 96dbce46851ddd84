// Figure 11 of the polarisation paper: the tied model, whose winning column grows massive.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/descents.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace polariscope::experiments {
namespace {

constexpr std::array kDims{10, 20, 50, 100};
constexpr double kStep = 0.05;
constexpr std::int64_t kSteps = 10'000;

using Norms = std::vector<std::vector<double>>;  // of U's columns, [records][D]

std::vector<double> column_norms(const flow::Trajectory& trajectory) {
  const int dim = trajectory.problem.tokens;
  std::vector<double> squares(dim);
  for (int row = 0; row < dim; ++row) {
    for (int column = 0; column < dim; ++column) {
      squares[column] += std::pow(trajectory.final_state.values[row * dim + column], 2);
    }
  }
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

// A trajectory with the norms of its columns: the winner's, and the median of the others.
struct Column {
  std::vector<double> winner, others;
};

Column columns_of(const flow::Trajectory& trajectory, const Norms& norms) {
  const int winner = final_winner(trajectory);
  Column result;
  for (std::vector<double> at_record : norms) {
    result.winner.push_back(at_record[winner]);
    at_record.erase(at_record.begin() + winner);
    result.others.push_back(spread_of(std::move(at_record)).median);
  }
  return result;
}

// How many entries of β are larger than that of `token`.
long long rank_in_target(int token, const flow::Trajectory& trajectory) {
  const std::vector<double>& beta = trajectory.problem.beta;
  return std::ranges::count_if(beta, [&](double b) { return b > beta[token]; });
}

// Of the first record at which a number of `record` is so; infinity where none is.
double first_time(const flow::Trajectory& trajectory, const std::vector<double>& record,
                  const std::function<bool(double)>& is_so) {
  const auto found = std::ranges::find_if(record, is_so) - record.begin();
  return static_cast<std::size_t>(found) < trajectory.t.size() ? trajectory.t[found]
                                                               : std::numeric_limits<double>::infinity();
}

struct Runs {
  int seeds = 0;
  std::vector<flow::Trajectory> trajectories;  // by dimension, then seed
  std::vector<Column> columns;                 // likewise

  std::span<const flow::Trajectory> at(std::size_t dim) const {
    return group_of(trajectories, seeds, static_cast<int>(dim));
  }
  std::span<const Column> columns_at(std::size_t dim) const { return std::span(columns).subspan(dim * seeds, seeds); }
};

Runs run_all(const Context& context) {
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  Runs runs;
  runs.seeds = context.paper() ? 50 : 10;
  std::vector<Descent> descents;
  std::vector<Norms> norms(kDims.size() * runs.seeds);
  for (const int dim : kDims) {
    flow::StartOptions options = flow::usual_start(flow::Model::kTied, flow::Loss::kLogistic, softmax);
    options.outputs = options.tokens = dim;
    for (int i = 0; i < runs.seeds; ++i) {
      Norms& mine = norms[descents.size()];
      descents.push_back(
          {flow::random_start(flow::Model::kTied, flow::Loss::kLogistic, softmax, options, context.seed + i),
           {.step = kStep,
            .steps = kSteps,
            .samples = {},
            .singular_values = false,
            .progress = [&mine](std::int64_t, const flow::Trajectory& t) { mine.push_back(column_norms(t)); }}});
    }
  }
  runs.trajectories = descend_all(context, descents, largest_share_note);
  for (std::size_t i = 0; i < norms.size(); ++i) runs.columns.push_back(columns_of(runs.trajectories[i], norms[i]));
  return runs;
}

report::SeriesChart over_dims(const Runs& runs, report::Axis y,
                              const std::function<std::vector<double>(const flow::Trajectory&)>& record,
                              std::vector<report::ReferenceLine> references) {
  report::SeriesChart chart{
      .x = {"time t", report::Scale::kLog}, .y = std::move(y), .series = {}, .references = std::move(references)};
  const auto colours = report::sequential_colours(kDims.size());
  for (std::size_t d = 0; d < kDims.size(); ++d) {
    chart.series.push_back(line_over(fmt::format("D = {}", kDims[d]), runs.at(d), record));
    chart.series.back().colour = colours[d];
  }
  return chart;
}

// The winning column's norm for each dimension, and one dashed line for the other columns of all.
report::SeriesChart norms_chart(const Runs& runs) {
  const std::vector<double>& t = runs.trajectories.front().t;  // the same for all
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"norm of a column of U", report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const auto colours = report::sequential_colours(kDims.size());
  std::vector<std::vector<double>> others;
  for (const Column& column : runs.columns) others.push_back(column.others);
  for (std::size_t d = 0; d < kDims.size(); ++d) {
    std::vector<std::vector<double>> winners;
    for (const Column& column : runs.columns_at(d)) winners.push_back(column.winner);
    chart.series.push_back(spread_series(fmt::format("winner, D = {}", kDims[d]), t, winners));
    chart.series.back().colour = colours[d];
  }
  chart.series.push_back(spread_series("median of the others, all D", t, others));
  chart.series.back().colour = colour_of("uniform");
  chart.series.back().dashed = true;
  return chart;
}

report::Section run(const Context& context) {
  const Runs runs = run_all(context);
  const auto all = std::span<const flow::Trajectory>(runs.trajectories);
  const auto total = static_cast<long long>(all.size());
  const Spread top = spread_over(all, [](const flow::Trajectory& t) { return final_share(t); });
  const auto by_target =
      count_of(all, [](const flow::Trajectory& t) { return final_winner(t) == largest_of(t.problem.beta); });
  const auto by_scores =
      count_of(all, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_scores(t); });
  const auto near_target =
      count_of(all, [](const flow::Trajectory& t) { return rank_in_target(final_winner(t), t) <= 1; });
  std::vector<double> ratios, masses;
  for (const Column& column : runs.columns) ratios.push_back(column.winner.back() / column.others.back());
  for (const Column& column : runs.columns_at(kDims.size() - 1)) masses.push_back(column.winner.back());
  const Spread ratio = spread_of(ratios);
  std::vector<double> others;
  std::vector<double> masses_of_all;
  for (const Column& column : runs.columns) {
    others.push_back(column.others.back());
    masses_of_all.push_back(column.winner.back());
  }
  const Spread winners = spread_of(masses_of_all);
  const Spread rest = spread_of(others);
  const std::size_t largest = kDims.size() - 1;
  const auto medians = [](std::string_view what, const Spread& small, const Spread& large) {
    return fmt::format("{} at t = {} for D = {} and {} for D = {} (medians over seeds).", what,
                       significant(small.median, 3), kDims.front(), significant(large.median, 3), kDims.back());
  };
  const auto takes_half = [](const flow::Trajectory& t) {
    return first_time(t, shares(t), [](double p) { return p > 0.5; });
  };
  const auto learns = [](const flow::Trajectory& t) {
    return first_time(t, t.loss, [](double loss) { return loss < 0.5 * std::log(2.0); });
  };

  report::Section section;
  section.method = fmt::format(
      "Gradient descent on log(1 + exp(−βᵀUσ(Ua))), where one matrix U makes both scores and values: U₀ = I, "
      "a₀ = 1 + 0.1·N(0, 1), ‖β‖ = 1, D = 10, 20, 50, 100, step {}, {} steps, {} seeds for each D.",
      kStep, kSteps, runs.seeds);
  section.findings = fmt::format(
      "max σ(Ua) ends at {}. The winning column of U ends {} times as long as the median of the others, which is {}. "
      "All started with length 1; at D = {} the winner's ends at {}. The winner is the largest entry of β in {} of {} "
      "runs, one of its two largest in {}, and the largest entry of a₀ in {}.",
      in_words(top, "runs"), in_words(ratio, "runs"), in_words(rest, "runs"), kDims.back(),
      in_words(spread_of(masses), "seeds"), by_target, total, near_target, by_scores);
  section.claims = {
      claim("A.fig11/polarises", "The tied model's weights polarise too.", "Figure 11, middle",
            "max σ(Ua) > 0.95 at the last step, every D and seed", top, "runs", top.low > 0.95, "sigma"),
      claim("A.fig11/massive", "One column of U, the winner's, grows massive.", "Figure 11, right",
            "norm of the winning column > 3 × the median norm of the others at the last step, every D and seed", ratio,
            "runs", ratio.low > 3.0, "norms"),
      claim_of_count("A.fig11/winner", "The winner is the largest entry of β.", "Figure 11",
                     "argmax σ(Ua) at the last step = argmax β, every D and seed", by_target, total, "runs",
                     by_target == total, "sigma"),
  };
  section.figures = {
      chart_figure("norms", "Norms of U's columns against time",
                   fmt::format("All columns start with norm 1. The winner ends at {}, the median of the others at {}.",
                               in_words(winners, "runs"), in_words(rest, "runs")),
                   "Norm of the winning column and median norm of the others against time for four sizes.",
                   norms_chart(runs)),
      chart_figure("sigma", "Weight of the heaviest token against time",
                   medians("One token has half of the weight", spread_over(runs.at(0), takes_half),
                           spread_over(runs.at(largest), takes_half)),
                   "Largest attention weight against time for four sizes, median and range over seeds.",
                   over_dims(runs, {"max σ(Ua)", report::Scale::kLinear}, shares, {})),
      coordinate_figure(runs.at(0).front(), {.id = "weights",
                                             .title = "Attention weights σ(Ua) against time, D = 10, first seed",
                                             .caption = "Colours go by u at the start, the entries of β.",
                                             .record = Coordinate::kSigma,
                                             .y = {"weight σ(Ua)", report::Scale::kLog}}),
      chart_figure("loss", "Loss against time",
                   medians("The loss is down to half of log 2", spread_over(runs.at(0), learns),
                           spread_over(runs.at(largest), learns)),
                   "Logistic loss against time for four sizes, log–log.",
                   over_dims(runs, {"loss", report::Scale::kLog}, [](const flow::Trajectory& t) { return t.loss; },
                             {{"log 2: nothing learned", std::log(2.0)}})),
  };
  section.configuration = {{"model", "tied"},
                           {"loss", "logistic"},
                           {"re-weighting", "softmax"},
                           {"D", "10, 20, 50, 100"},
                           {"U₀", "identity"},
                           {"a₀", "1 + 0.1·N(0, 1)"},
                           {"step", fmt::format("{}", kStep)},
                           {"steps", fmt::format("{}", kSteps)},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + runs.seeds - 1)}};
  if (!context.paper()) section.differences = "10 seeds where the paper preset takes 50.";
  return section;
}

}  // namespace

Experiment a_fig11() {
  return {.id = "A.fig11",
          .title = "In the tied model the winning column grows massive",
          .source = "Polarisation paper, figure 11",
          .question = "When one matrix makes both scores and values, does polarisation bring massive activations?",
          .run = run};
}

}  // namespace polariscope::experiments
