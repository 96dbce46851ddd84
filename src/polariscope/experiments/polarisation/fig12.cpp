#include "polariscope/experiments/polarisation/fig12.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments::polarisation::fig12 {
namespace {

constexpr double kGone = 1e-12, kFallen = 1e-3;  // of the loss at the start

// Gone, or three decades down and at least halved since half of the time.
bool loss_vanishes(const flow::Trajectory& trajectory) {
  const double fallen = trajectory.loss.back() / trajectory.loss.front();
  const auto half = std::ranges::lower_bound(trajectory.t, 0.5 * trajectory.t.back()) - trajectory.t.begin();
  return fallen < kGone || (fallen < kFallen && trajectory.loss.back() < 0.5 * trajectory.loss[half]);
}

double final_entropy(const flow::Trajectory& trajectory) { return trajectory.entropy.back(); }

// One line with its band for each condition number.
report::SeriesChart over_conditions(const ConditionPlan& plan, const ConditionRuns& runs, report::Axis y,
                                    std::vector<double> flow::Trajectory::*record) {
  report::SeriesChart chart{.x = {"time t", report::Scale::kLog}, .y = std::move(y), .series = {}, .references = {}};
  const auto colours = report::sequential_colours(plan.largest);
  for (int condition = 1; condition <= plan.largest; ++condition) {
    chart.series.push_back(line_over(fmt::format("κ = {}", condition), runs.at(condition),
                                     [&](const flow::Trajectory& t) { return t.*record; }));
    chart.series.back().colour = colours[condition - 1];
  }
  return chart;
}

report::SeriesChart entropy_against_condition(const ConditionPlan& plan, const ConditionRuns& runs) {
  report::Series median{
      .name = "median over seeds", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(0)};
  std::vector<report::Series> single(runs.seeds, {.name = "", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""});
  for (int condition = 1; condition <= plan.largest; ++condition) {
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
      .references = {{fmt::format("uniform, log {}", plan.tokens()), std::log(plan.tokens())}, {"one-hot", 0.0}}};
  for (int i = 0; i < runs.seeds; ++i) {
    single[i].name = fmt::format("run {}", i);
    single[i].x = median.x;
    single[i].colour = median.colour;
    single[i].faint = true;
    chart.series.push_back(std::move(single[i]));
  }
  return chart;
}

report::Figure gradients(const ConditionPlan& plan, const ConditionRuns& runs) {
  const report::SeriesChart values =
      over_conditions(plan, runs, {"‖∂L/∂V‖", report::Scale::kLog}, &flow::Trajectory::gradient_values);
  const report::SeriesChart scores =
      over_conditions(plan, runs, {"‖∂L/∂a‖", report::Scale::kLog}, &flow::Trajectory::gradient_scores);
  const std::vector<Multiple> both = {{"Gradient in V", report::series_chart(values), report::table_of(values)},
                                      {"Gradient in a", report::series_chart(scores), report::table_of(scores)}};
  return multiples_figure(
      {.id = "gradients",
       .title = "Gradient norms against time",
       .caption =
           fmt::format("At the end ‖∂L/∂V‖ is {} for κ = 1 and {} for κ = {}, ‖∂L/∂a‖ is {} and {}.",
                       end_in_words(values.series.front(), 2), end_in_words(values.series.back(), 2), plan.largest,
                       end_in_words(scores.series.front(), 2), end_in_words(scores.series.back(), 2)),
       .alternative = fmt::format(
           "Norms of the gradients in V and in a against time for {} condition numbers, log–log.", plan.largest),
       .columns = 2},
      both);
}

report::Figure all_scores(const ConditionPlan& plan, const ConditionRuns& runs) {
  std::vector<Multiple> every;
  std::vector<std::string> spans;
  for (int condition = 1; condition <= plan.largest; ++condition) {
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
       .alternative = fmt::format("Scores of {} tokens against time in {} panels, one a condition number.",
                                  plan.tokens(), plan.largest)},
      every);
}

// In how many seeds the entropy falls from each condition number to the next.
long long falling_seeds(const ConditionPlan& plan, const ConditionRuns& runs) {
  long long falling = 0;
  for (int i = 0; i < runs.seeds; ++i) {
    bool falls = true;
    for (int condition = 2; condition <= plan.largest; ++condition) {
      falls &= final_entropy(runs.at(condition)[i]) < final_entropy(runs.at(condition - 1)[i]);
    }
    falling += falls ? 1 : 0;
  }
  return falling;
}

// Of each seed, the loss that is left at its slowest condition number.
Spread worst_loss(const ConditionPlan& plan, const ConditionRuns& runs) {
  std::vector<double> worst(runs.seeds, 0.0);
  for (int condition = 1; condition <= plan.largest; ++condition) {
    for (int i = 0; i < runs.seeds; ++i) {
      const flow::Trajectory& here = runs.at(condition)[i];
      worst[i] = std::max(worst[i], here.loss.back() / here.loss.front());
    }
  }
  return spread_of(std::move(worst));
}

report::Section run(const Context& context) {
  return describe(condition_plan(context.preset), *condition_runs(context));
}

}  // namespace

std::vector<report::Claim> judge(const ConditionPlan& plan, const ConditionRuns& runs) {
  const long long falling = falling_seeds(plan, runs), vanishing = count_of(runs.trajectories, loss_vanishes);
  const auto total = static_cast<long long>(runs.trajectories.size());
  return {
      claim_of_count("A.fig12/entropy", "The larger the condition number, the more concentrated the weights.",
                     "Figure 12", "entropy of σ(a) at the last step falls from each κ to the next, every seed", falling,
                     runs.seeds, "seeds", falling == runs.seeds, "entropy"),
      claim_of_count(
          "A.fig12/loss", "The loss goes to zero at every condition number.", "Figure 12",
          fmt::format("loss at the last step < {} of the start, or < {} of it and at least halved since half of the "
                      "time; every κ and seed",
                      plain(kGone), plain(kFallen)),
          vanishing, total, "runs", vanishing == total, "loss"),
  };
}

report::Section describe(const ConditionPlan& plan, const ConditionRuns& runs) {
  const auto entropy_at = [&](int condition) { return spread_over(runs.at(condition), final_entropy); };
  const int middle = (1 + plan.largest) / 2;
  report::Section section;
  section.method = condition_method(plan);
  section.findings = fmt::format(
      "The loss falls to {} of its start at the slowest κ of each seed. The entropy of σ ends at {} nats for κ = 1, {} "
      "for κ = {} and {} for κ = {} (uniform: {:.3f}); it falls with every step of κ in {} of {} seeds. The largest "
      "weight of any run is {:.3f}.",
      in_words(worst_loss(plan, runs), "seeds"), in_words(entropy_at(1), "seeds"),
      in_words(entropy_at(middle), "seeds"), middle, in_words(entropy_at(plan.largest), "seeds"), plan.largest,
      std::log(plan.tokens()), falling_seeds(plan, runs), runs.seeds,
      spread_over(runs.trajectories, [](const flow::Trajectory& t) { return final_share(t); }).high);
  section.claims = judge(plan, runs);
  const report::SeriesChart losses =
      over_conditions(plan, runs, {"loss ‖β − XVσ(a)‖²", report::Scale::kLog}, &flow::Trajectory::loss);
  section.figures = {
      chart_figure("loss", "Loss against time",
                   fmt::format("It ends at {} for κ = 1 and {} for κ = {}.", end_in_words(losses.series.front(), 2),
                               end_in_words(losses.series.back(), 2), plan.largest),
                   fmt::format("Loss against time for {} condition numbers, log–log, median and range over seeds.",
                               plan.largest),
                   losses),
      gradients(plan, runs),
      all_scores(plan, runs),
      chart_figure(
          "entropy", "Entropy of the final weights against the condition number",
          fmt::format("The median goes from {} nats at κ = 1 to {} at κ = {}.", significant(entropy_at(1).median, 3),
                      significant(entropy_at(plan.largest).median, 3), plan.largest),
          "Final entropy against condition number, median, range and single seeds.",
          entropy_against_condition(plan, runs)),
  };
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig12

namespace polariscope::experiments {

Experiment a_fig12() {
  return {.id = "A.fig12",
          .title = "The worse the condition number, the more the weights concentrate",
          .source = "Polarisation paper, figure 12",
          .question = "How do loss, gradients and scores depend on the data's condition number?",
          .protocol = condition_quantities,
          .run = polarisation::fig12::run};
}

}  // namespace polariscope::experiments
