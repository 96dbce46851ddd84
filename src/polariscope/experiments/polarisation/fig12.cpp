// Figure 12 of the polarisation paper: least squares at condition numbers 1 to 5; loss, gradients, scores.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/condition_runs.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr int kLargest = ConditionRuns::kLargest;

// Gone, or three decades down and at least halved since half of the time.
bool loss_vanishes(const flow::Trajectory& trajectory) {
  const double fallen = trajectory.loss.back() / trajectory.loss.front();
  const auto half = std::ranges::lower_bound(trajectory.t, 0.5 * trajectory.t.back()) - trajectory.t.begin();
  return fallen < 1e-12 || (fallen < 1e-3 && trajectory.loss.back() < 0.5 * trajectory.loss[half]);
}

double final_entropy(const flow::Trajectory& trajectory) { return trajectory.entropy.back(); }

// One line with its band for each condition number.
report::SeriesChart over_conditions(const ConditionRuns& runs, report::Axis y,
                                    std::vector<double> flow::Trajectory::*record) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog}, .y = std::move(y), .series = {}, .references = {}};
  const auto colours = report::sequential_colours(kLargest);
  for (int condition = 1; condition <= kLargest; ++condition) {
    chart.series.push_back(line_over(fmt::format("κ = {}", condition), runs.at(condition),
                                     [&](const flow::Trajectory& t) { return t.*record; }));
    chart.series.back().colour = colours[condition - 1];
  }
  return chart;
}

report::SeriesChart entropy_against_condition(const ConditionRuns& runs) {
  report::Series median{
      .name = "median over seeds", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(0)};
  std::vector<report::Series> single(runs.seeds, {.name = "", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""});
  for (int condition = 1; condition <= kLargest; ++condition) {
    const Spread spread = spread_over(runs.at(condition), final_entropy);
    median.x.push_back(condition);
    median.y.push_back(spread.median);
    median.low.push_back(spread.low);
    median.high.push_back(spread.high);
    for (int i = 0; i < runs.seeds; ++i) single[i].y.push_back(final_entropy(runs.at(condition)[i]));
  }
  report::SeriesChart chart{
      .x = {"condition number κ", report::Scale::kLinear},
      .y = {"entropy H of σ(a) at the end (nats)", report::Scale::kLinear},
      .series = {median},
      .references = {{fmt::format("uniform, log {}", ConditionRuns::kDim), std::log(ConditionRuns::kDim)},
                     {"one-hot", 0.0}}};
  for (int i = 0; i < runs.seeds; ++i) {
    single[i].name = fmt::format("run {}", i);
    single[i].x = median.x;
    single[i].colour = median.colour;
    single[i].faint = true;
    chart.series.push_back(std::move(single[i]));
  }
  return chart;
}

report::Figure gradients(const ConditionRuns& runs) {
  const report::SeriesChart values =
      over_conditions(runs, {"‖∂L/∂V‖", report::Scale::kLog}, &flow::Trajectory::gradient_values);
  const report::SeriesChart scores =
      over_conditions(runs, {"‖∂L/∂a‖", report::Scale::kLog}, &flow::Trajectory::gradient_scores);
  const std::vector<Multiple> both = {{"Gradient in V", report::series_chart(values), report::table_of(values)},
                                      {"Gradient in a", report::series_chart(scores), report::table_of(scores)}};
  return multiples_figure(
      {.id = "gradients",
       .title = "Gradient norms against time",
       .caption = fmt::format("At the end ‖∂L/∂V‖ is {} for κ = 1 and {} for κ = {}, ‖∂L/∂a‖ is {} and {}.",
                              end_in_words(values.series.front(), 2), end_in_words(values.series.back(), 2), kLargest,
                              end_in_words(scores.series.front(), 2), end_in_words(scores.series.back(), 2)),
       .alternative = "Norms of the gradients in V and in a against time for five condition numbers, log–log.",
       .columns = 2},
      both);
}

report::Figure all_scores(const ConditionRuns& runs) {
  std::vector<Multiple> every;
  std::vector<std::string> spans;
  for (int condition = 1; condition <= kLargest; ++condition) {
    every.push_back(coordinate_panel(
        fmt::format("κ = {}", condition), runs.at(condition).front(),
        {.record = Coordinate::kScores, .y = {"score a", report::Scale::kLinear}, .time = report::Scale::kLinear}));
    const flow::Trajectory& first = runs.at(condition).front();
    const auto [low, high] = std::minmax_element(first.scores.end() - first.problem.tokens, first.scores.end());
    spans.push_back(significant(*high - *low, 3));
  }
  return multiples_figure(
      {.id = "scores",
       .title = "Scores a against time, first seed",
       .caption = fmt::format("The same start at every κ. At the end the scores span {}.", fmt::join(spans, ", ")),
       .alternative = "Scores of 20 tokens against time in five panels, one a condition number."},
      every);
}

report::Section run(const Context& context) {
  const auto runs = condition_runs(context);
  std::vector<double> worst_loss;
  int falling = 0;
  for (int i = 0; i < runs->seeds; ++i) {
    bool falls = true;
    double worst = 0.0;
    for (int condition = 1; condition <= kLargest; ++condition) {
      const flow::Trajectory& here = runs->at(condition)[i];
      worst = std::max(worst, here.loss.back() / here.loss.front());
      if (condition > 1) falls &= final_entropy(here) < final_entropy(runs->at(condition - 1)[i]);
    }
    worst_loss.push_back(worst);
    falling += falls;
  }
  const auto entropy_at = [&](int condition) { return spread_over(runs->at(condition), final_entropy); };
  const Spread loss = spread_of(worst_loss);
  const auto vanishing = count_of(runs->trajectories, loss_vanishes);
  const auto total = static_cast<long long>(runs->trajectories.size());

  report::Section section;
  section.method = condition_method(*runs);
  section.findings = fmt::format(
      "The loss falls to {} of its start at the slowest κ of each seed. The entropy of σ ends at {} nats for κ = 1, {} "
      "for κ = 3 and {} for κ = 5 (uniform: {:.3f}); it falls with every step of κ in {} of {} seeds. The largest "
      "weight of any run is {:.3f}.",
      in_words(loss, "seeds"), in_words(entropy_at(1), "seeds"), in_words(entropy_at(3), "seeds"),
      in_words(entropy_at(5), "seeds"), std::log(ConditionRuns::kDim), falling, runs->seeds,
      spread_over(runs->trajectories, [](const flow::Trajectory& t) { return final_share(t); }).high);
  section.claims = {
      claim_of_count("A.fig12/entropy", "The larger the condition number, the more concentrated the weights.",
                     "Figure 12", "entropy of σ(a) at the last step falls from each κ to the next, every seed", falling,
                     runs->seeds, "seeds", falling == runs->seeds, "entropy"),
      claim_of_count(
          "A.fig12/loss", "The loss goes to zero at every condition number.", "Figure 12",
          "loss at the last step < 1e-12 of the start, or < 1e-3 of it and at least halved since half of the "
          "time; every κ and seed",
          vanishing, total, "runs", vanishing == total, "loss"),
  };
  const report::SeriesChart losses =
      over_conditions(*runs, {"loss ‖β − XVσ(a)‖²", report::Scale::kLog}, &flow::Trajectory::loss);
  section.figures = {
      chart_figure("loss", "Loss against time",
                   fmt::format("It ends at {} for κ = 1 and {} for κ = {}.", end_in_words(losses.series.front(), 2),
                               end_in_words(losses.series.back(), 2), kLargest),
                   "Loss against time for five condition numbers, log–log, median and range over seeds.", losses),
      gradients(*runs),
      all_scores(*runs),
      chart_figure(
          "entropy", "Entropy of the final weights against the condition number",
          fmt::format("The median goes from {} nats at κ = 1 to {} at κ = {}.", significant(entropy_at(1).median, 3),
                      significant(entropy_at(kLargest).median, 3), kLargest),
          "Final entropy against condition number, median, range and single seeds.", entropy_against_condition(*runs)),
  };
  section.configuration = condition_configuration(context, *runs);
  section.differences = condition_differences(context);
  return section;
}

}  // namespace

Experiment a_fig12() {
  return {.id = "A.fig12",
          .title = "The worse the condition number, the more the weights concentrate",
          .source = "Polarisation paper, figure 12",
          .question = "How do loss, gradients and scores depend on the data's condition number?",
          .run = run};
}

}  // namespace polariscope::experiments
