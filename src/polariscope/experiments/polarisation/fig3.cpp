// Figure 3 of the polarisation paper: least squares; scores a against time at condition numbers 1 and 5.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/condition_runs.h"
#include "polariscope/experiments/polarisation/flow_section.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::experiments {
namespace {

constexpr int kRound = 1;
constexpr int kSkewed = ConditionRuns::kLargest;

double score_range(const flow::Trajectory& trajectory) {
  const auto [low, high] =
      std::minmax_element(trajectory.scores.end() - trajectory.problem.tokens, trajectory.scores.end());
  return *high - *low;
}

report::Figure scores(const ConditionRuns& runs, int condition, std::string id) {
  return coordinate_figure(runs.at(condition).front(),
                           {.id = std::move(id),
                            .title = fmt::format("Scores a against time, κ = {}", condition),
                            .record = Coordinate::kScores,
                            .y = {.title = "score a", .scale = report::Scale::kLinear},
                            .time = report::Scale::kLinear});
}

report::Section run(const Context& context) {
  const auto runs = condition_runs(context);
  const auto round = runs->at(kRound);
  const auto skewed = runs->at(kSkewed);
  const Spread round_share = spread_over(round, [](const flow::Trajectory& t) { return final_share(t); });
  const Spread skewed_share = spread_over(skewed, [](const flow::Trajectory& t) { return final_share(t); });
  const Spread round_range = spread_over(round, score_range);
  const Spread skewed_range = spread_over(skewed, score_range);
  const double uniform = 1.0 / ConditionRuns::kDim;
  const auto by_scores =
      count_of(skewed, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_scores(t); });
  const auto by_u = count_of(skewed, [](const flow::Trajectory& t) { return final_winner(t) == leader_of_u(t); });

  report::Section section;
  section.method = condition_method(*runs) + " The figures show the first seed.";
  section.findings = fmt::format(
      "With κ = {} the scores end within {} of each other and max σ is {}, against 1/{} = {} for uniform weights. With "
      "κ = {} the scores span {}, and max σ is {}. The winner there is the token "
      "with the largest score at the start in {} of {} seeds, the one that u = VᵀXᵀβ draws most at the start in {}.",
      kRound, in_words(round_range, "seeds"), in_words(round_share, "seeds"), ConditionRuns::kDim, uniform, kSkewed,
      in_words(skewed_range, "seeds"), in_words(skewed_share, "seeds"), by_scores, runs->seeds, by_u);
  section.claims = {
      claim("A.fig3/together", "With condition number 1 the scores stay together and the weights near uniform.",
            "Figure 3, left", "max σ(a) < 2/k at the last step, every seed", round_share, "seeds",
            round_share.high < 2.0 * uniform, "scores-1"),
      claim("A.fig3/apart", "With condition number 5 one token takes most of the weight.", "Figure 3, right",
            "max σ(a) > 0.5 at the last step, every seed", skewed_share, "seeds", skewed_share.low > 0.5, "scores-5"),
  };
  section.figures = {
      scores(*runs, kRound, "scores-1"),
      scores(*runs, kSkewed, "scores-5"),
  };
  section.configuration = condition_configuration(context, *runs);
  section.differences = condition_differences(context);
  return section;
}

}  // namespace

Experiment a_fig3() {
  return {.id = "A.fig3",
          .title = "Least squares polarises only where the data is ill-conditioned",
          .source = "Polarisation paper, figure 3",
          .question = "Under least squares, does one token take all, and does that depend on the data's condition?",
          .run = run};
}

}  // namespace polariscope::experiments
