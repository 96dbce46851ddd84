#include "polariscope/experiments/polarisation/fig11.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace polariscope::experiments::polarisation::fig11 {
namespace {

constexpr double kPolarised = 0.95;  // of the weight
constexpr double kMassive = 3.0;     // times the median norm

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

report::SeriesChart over_dims(const Protocol& protocol, const Measured& runs, report::Axis y,
                              const std::function<std::vector<double>(const flow::Trajectory&)>& record,
                              std::vector<report::ReferenceLine> references) {
  report::SeriesChart chart{
      .x = {"time t", report::Scale::kLog}, .y = std::move(y), .series = {}, .references = std::move(references)};
  const auto colours = report::sequential_colours(protocol.dims.size());
  for (std::size_t d = 0; d < protocol.dims.size(); ++d) {
    chart.series.push_back(line_over(fmt::format("D = {}", protocol.dims[d]), runs.at(d), record));
    chart.series.back().colour = colours[d];
  }
  return chart;
}

// The winning column's norm for each dimension, and one dashed line for the other columns of all.
report::SeriesChart norms_chart(const Protocol& protocol, const Measured& runs) {
  const std::vector<double>& t = runs.trajectories.front().t;  // the same for all
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog},
                            .y = {"norm of a column of U", report::Scale::kLinear},
                            .series = {},
                            .references = {}};
  const auto colours = report::sequential_colours(protocol.dims.size());
  std::vector<std::vector<double>> others;
  for (const Column& column : runs.columns) others.push_back(column.others);
  for (std::size_t d = 0; d < protocol.dims.size(); ++d) {
    std::vector<std::vector<double>> winners;
    for (const Column& column : runs.columns_at(d)) winners.push_back(column.winner);
    chart.series.push_back(spread_series(fmt::format("winner, D = {}", protocol.dims[d]), t, winners));
    chart.series.back().colour = colours[d];
  }
  chart.series.push_back(spread_series("median of the others, all D", t, others));
  chart.series.back().colour = colour_of("uniform");
  chart.series.back().dashed = true;
  return chart;
}

// At the last record, of the columns given.
Spread final_norms(std::span<const Column> columns, std::vector<double> Column::*which) {
  std::vector<double> norms;
  for (const Column& column : columns) norms.push_back((column.*which).back());
  return spread_of(std::move(norms));
}

// The winning column's norm over the median of the others.
Spread final_ratios(const Measured& runs) {
  std::vector<double> ratios;
  for (const Column& column : runs.columns) ratios.push_back(column.winner.back() / column.others.back());
  return spread_of(std::move(ratios));
}

Spread largest_weight(const Measured& runs) {
  return spread_over(runs.trajectories, [](const flow::Trajectory& t) { return final_share(t); });
}

long long won_by_target(const Measured& runs) {
  return count_of(runs.trajectories,
                  [](const flow::Trajectory& t) { return final_winner(t) == largest_of(t.problem.beta); });
}

Quantities quantities(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  const DescentPlan& p = protocol.descents;
  return {{"model", std::string(flow::model_name(p.model))},
          {"loss", std::string(flow::loss_name(p.loss))},
          {"re-weighting", std::string(p.reweighting)},
          {"D", listed(protocol.dims)},
          {"U₀", "identity"},
          {"a₀", scores_in_words(p.start)},
          {"step", plain(p.step)},
          counted_quantity("steps", p.steps, "steps"),
          seeds_quantity(context.seed, p.seeds)};
}

std::string findings_of(const Protocol& protocol, const Measured& runs) {
  const auto total = static_cast<long long>(runs.trajectories.size());
  const auto by_scores =
      count_of(runs.trajectories, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_scores(t); });
  const auto near_target =
      count_of(runs.trajectories, [](const flow::Trajectory& t) { return rank_in_target(final_winner(t), t) <= 1; });
  return fmt::format(
      "max σ(Ua) ends at {}. The winning column of U ends {} times as long as the median of the others, which is {}. "
      "All started with length 1; at D = {} the winner's ends at {}. The winner is the largest entry of β in {} of {} "
      "runs, one of its two largest in {}, and the largest entry of a₀ in {}.",
      in_words(largest_weight(runs), "runs"), in_words(final_ratios(runs), "runs"),
      in_words(final_norms(runs.columns, &Column::others), "runs"), protocol.dims.back(),
      in_words(final_norms(runs.columns_at(protocol.dims.size() - 1), &Column::winner), "seeds"), won_by_target(runs),
      total, near_target, by_scores);
}

std::vector<report::Figure> figures_of(const Protocol& protocol, const Measured& runs) {
  const std::size_t largest = protocol.dims.size() - 1;
  // "One token has half of the weight at t = 12 for D = 10 and 34 for D = 100 (medians over seeds)."
  const auto medians = [&](std::string_view what, const std::function<double(const flow::Trajectory&)>& when) {
    return fmt::format("{} at t = {} for D = {} and {} for D = {} (medians over seeds).", what,
                       significant(spread_over(runs.at(0), when).median, 3), protocol.dims.front(),
                       significant(spread_over(runs.at(largest), when).median, 3), protocol.dims.back());
  };
  const auto takes_half = [](const flow::Trajectory& t) {
    return first_time(t, shares(t), [](double p) { return p > 0.5; });
  };
  const auto learns = [](const flow::Trajectory& t) {
    return first_time(t, t.loss, [](double loss) { return loss < 0.5 * std::log(2.0); });
  };
  const std::string sizes = fmt::format("{} sizes", protocol.dims.size());
  return {
      chart_figure("norms", "Norms of U's columns against time",
                   fmt::format("All columns start with norm 1. The winner ends at {}, the median of the others at {}.",
                               in_words(final_norms(runs.columns, &Column::winner), "runs"),
                               in_words(final_norms(runs.columns, &Column::others), "runs")),
                   fmt::format("Norm of the winning column and median norm of the others against time for {}.", sizes),
                   norms_chart(protocol, runs)),
      chart_figure("sigma", "Weight of the heaviest token against time",
                   medians("One token has half of the weight", takes_half),
                   fmt::format("Largest attention weight against time for {}, median and range over seeds.", sizes),
                   over_dims(protocol, runs, {"max σ(Ua)", report::Scale::kLinear}, shares, {})),
      coordinate_figure(
          runs.at(0).front(),
          {.id = "weights",
           .title = fmt::format("Attention weights σ(Ua) against time, D = {}, first seed", protocol.dims.front()),
           .caption = "Colours go by u at the start, the entries of β.",
           .record = Coordinate::kSigma,
           .y = {"weight σ(Ua)", report::Scale::kLog}}),
      chart_figure(
          "loss", "Loss against time", medians("The loss is down to half of log 2", learns),
          fmt::format("Logistic loss against time for {}, log–log.", sizes),
          over_dims(protocol, runs, {"loss", report::Scale::kLog}, [](const flow::Trajectory& t) { return t.loss; },
                    {{"log 2: nothing learned", std::log(2.0)}})),
  };
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

std::span<const flow::Trajectory> Measured::at(std::size_t dim) const {
  return group_of(trajectories, seeds, static_cast<int>(dim));
}

std::span<const Column> Measured::columns_at(std::size_t dim) const {
  return std::span(columns).subspan(dim * seeds, seeds);
}

Protocol protocol_of(Preset preset) {
  return {.descents = {.model = flow::Model::kTied,
                       .start = {.value_scale = 0.0, .score_scale = 0.1, .score_offset = 1.0},
                       .step = 0.05,
                       .steps = 10'000,
                       .seeds = preset == Preset::kPaper ? 50 : 10}};
}

Measured measure(const Context& context, const Protocol& protocol) {
  Measured runs{.seeds = protocol.descents.seeds, .trajectories = {}, .columns = {}};
  std::vector<Descent> descents;
  for (const int dim : protocol.dims) {
    DescentPlan plan = protocol.descents;
    plan.start.outputs = plan.start.tokens = dim;
    for (Descent& descent : descents_of(context, plan)) descents.push_back(std::move(descent));
  }
  std::vector<Norms> norms(descents.size());
  auto next = norms.begin();
  for (Descent& descent : descents) {
    descent.options.progress = [&mine = *next++](std::int64_t, const flow::Trajectory& t) {
      mine.push_back(column_norms(t));
    };
  }
  runs.trajectories = descend_all(context, descents, largest_share_note);
  for (std::size_t i = 0; i < norms.size(); ++i) runs.columns.push_back(columns_of(runs.trajectories[i], norms[i]));
  return runs;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& runs) {
  const auto total = static_cast<long long>(runs.trajectories.size());
  const Spread top = largest_weight(runs), ratio = final_ratios(runs);
  const long long by_target = won_by_target(runs);
  return {
      claim("A.fig11/polarises", "The tied model's weights polarise too.", "Figure 11, middle",
            fmt::format("max σ(Ua) > {} at the last step, every D and seed", kPolarised), top, "runs",
            top.low > kPolarised, "sigma"),
      claim("A.fig11/massive", "One column of U, the winner's, grows massive.", "Figure 11, right",
            fmt::format(
                "norm of the winning column > {} × the median norm of the others at the last step, every D and seed",
                kMassive),
            ratio, "runs", ratio.low > kMassive, "norms"),
      claim_of_count("A.fig11/winner", "The winner is the largest entry of β.", "Figure 11",
                     "argmax σ(Ua) at the last step = argmax β, every D and seed", by_target, total, "runs",
                     by_target == total, "sigma"),
  };
}

report::Section describe(const Protocol& protocol, const Measured& runs) {
  const DescentPlan& p = protocol.descents;
  report::Section section;
  section.method = fmt::format(
      "Gradient descent on log(1 + exp(−βᵀUσ(Ua))), where one matrix U makes both scores and values: U₀ = I, a₀ = {}, "
      "‖β‖ = 1, D = {}, step {}, {} steps, {} seeds for each D.",
      scores_in_words(p.start), listed(protocol.dims), plain(p.step), counted(p.steps), p.seeds);
  section.findings = findings_of(protocol, runs);
  section.claims = judge(protocol, runs);
  section.figures = figures_of(protocol, runs);
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig11

namespace polariscope::experiments {

Experiment a_fig11() {
  return {.id = "A.fig11",
          .title = "In the tied model the winning column grows massive",
          .source = "Polarisation paper, figure 11",
          .question = "When one matrix makes both scores and values, does polarisation bring massive activations?",
          .protocol = polarisation::fig11::quantities,
          .run = polarisation::fig11::run};
}

}  // namespace polariscope::experiments
