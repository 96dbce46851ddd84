#include "polariscope/experiments/polarisation/fig3.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::experiments::polarisation::fig3 {
namespace {

constexpr int kRound = 1;       // the smallest condition number
constexpr double kApart = 0.5;  // of the weight: above it most is one token's

double score_range(const flow::Trajectory& trajectory) {
  const auto [low, high] =
      std::minmax_element(trajectory.scores.end() - trajectory.problem.tokens, trajectory.scores.end());
  return *high - *low;
}

Spread largest_weight(std::span<const flow::Trajectory> runs) {
  return spread_over(runs, [](const flow::Trajectory& t) { return final_share(t); });
}

report::Figure scores(const ConditionRuns& runs, int condition) {
  return coordinate_figure(runs.at(condition).front(),
                           {.id = fmt::format("scores-{}", condition),
                            .title = fmt::format("Scores a against time, κ = {}", condition),
                            .record = Coordinate::kScores,
                            .y = {.title = "score a", .scale = report::Scale::kLinear},
                            .time = report::Scale::kLinear});
}

report::Section run(const Context& context) {
  return describe(condition_plan(context.preset), *condition_runs(context));
}

}  // namespace

std::vector<report::Claim> judge(const ConditionPlan& plan, const ConditionRuns& runs) {
  const Spread round = largest_weight(runs.at(kRound)), skewed = largest_weight(runs.at(plan.largest));
  return {
      claim("A.fig3/together",
            fmt::format("With condition number {} the scores stay together and the weights near uniform.", kRound),
            "Figure 3, left", "max σ(a) < 2/k at the last step, every seed", round, "seeds",
            round.high < 2.0 / plan.tokens(), fmt::format("scores-{}", kRound)),
      claim("A.fig3/apart", fmt::format("With condition number {} one token takes most of the weight.", plan.largest),
            "Figure 3, right", fmt::format("max σ(a) > {} at the last step, every seed", kApart), skewed, "seeds",
            skewed.low > kApart, fmt::format("scores-{}", plan.largest)),
  };
}

report::Section describe(const ConditionPlan& plan, const ConditionRuns& runs) {
  const auto round = runs.at(kRound), skewed = runs.at(plan.largest);
  const auto by_scores =
      count_of(skewed, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_scores(t); });
  const auto by_u = count_of(skewed, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_u(t); });
  report::Section section;
  section.method = condition_method(plan) + " The figures show the first seed.";
  section.findings = fmt::format(
      "With κ = {} the scores end within {} of each other and max σ is {}, against 1/{} = {} for uniform weights. With "
      "κ = {} the scores span {}, and max σ is {}. The winner there is the token with the largest score at the start "
      "in {} of {} seeds, the one that u = VᵀXᵀβ draws most at the start in {}.",
      kRound, in_words(spread_over(round, score_range), "seeds"), in_words(largest_weight(round), "seeds"),
      plan.tokens(), 1.0 / plan.tokens(), plan.largest, in_words(spread_over(skewed, score_range), "seeds"),
      in_words(largest_weight(skewed), "seeds"), by_scores, runs.seeds, by_u);
  section.claims = judge(plan, runs);
  section.figures = {scores(runs, kRound), scores(runs, plan.largest)};
  return section;
}

}  // namespace polariscope::experiments::polarisation::fig3

namespace polariscope::experiments {

Experiment a_fig3() {
  return {.id = "A.fig3",
          .title = "Least squares polarises only where the data is ill-conditioned",
          .source = "Polarisation paper, figure 3",
          .question = "Under least squares, does one token take all, and does that depend on the data's condition?",
          .protocol = condition_quantities,
          .run = polarisation::fig3::run};
}

}  // namespace polariscope::experiments
