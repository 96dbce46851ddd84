// Every flow ends, and says how: at its horizon, converged, diverged or stuck.
#include "polariscope/flow/gradient_flow.h"
#include "problems.h"

#include <string_view>

namespace polariscope::testing {
namespace {

using flow::Ending;

constexpr double kUntil = 100.0;
constexpr std::uint64_t kSeeds = 20;

flow::Start usual(const Combination& one, std::uint64_t seed) {
  flow::StartOptions options = flow::usual_start(one.model, one.loss, *one.reweighting);
  options.outputs = options.tokens = 3;
  return flow::random_start(one.model, one.loss, *one.reweighting, options, seed);
}

flow::Trajectory run(const Combination& one, flow::Solver solver, std::uint64_t seed, int records = 20) {
  const flow::Start start = usual(one, seed);
  return flow::integrate(
      start.problem, start.state,
      {.until = kUntil, .times = flow::log_times(kUntil, records), .solver = solver, .progress = {}});
}

void expect_a_whole_record(const flow::Trajectory& t) {
  ASSERT_GE(t.points(), 1U);
  for (std::size_t n = 1; n < t.points(); ++n) EXPECT_LT(t.t[n - 1], t.t[n]);
  if (t.ending == Ending::kHorizon || t.ending == Ending::kConverged) {
    EXPECT_EQ(t.t.back(), kUntil);
  }
  for (const flow::Event& event : t.events) {
    EXPECT_GT(event.t, 0.0);
    EXPECT_LE(event.t, kUntil);
    EXPECT_NE(event.risen, event.fallen);
  }
}

class EveryFlow : public ::testing::TestWithParam<flow::Solver> {};

TEST_P(EveryFlow, EndsFromEveryStart) {
  int endings[4] = {};
  for (const Combination& one : combinations()) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", one.name(), seed));
      const flow::Trajectory t = run(one, GetParam(), seed);
      expect_a_whole_record(t);
      EXPECT_LT(t.evaluations, 3'000'000);
      ++endings[static_cast<int>(t.ending)];
      // Smooth weights of scores of their own have neither kinks nor, from these starts, poles.
      if (one.reweighting->smooth && one.model != flow::Model::kTied) {
        EXPECT_NE(t.ending, Ending::kStuck);
      }
    }
  }
  EXPECT_GT(endings[static_cast<int>(Ending::kHorizon)], 1000);
  EXPECT_GT(endings[static_cast<int>(Ending::kConverged)], 100);
  EXPECT_GT(endings[static_cast<int>(Ending::kStuck)], 100);
}

INSTANTIATE_TEST_SUITE_P(Solvers, EveryFlow, ::testing::Values(flow::Solver::kAdams, flow::Solver::kBdf),
                         [](const auto& solver) {
                           return solver.param == flow::Solver::kAdams ? std::string("Adams") : std::string("Bdf");
                         });

// Tokens that start level and stay so are apart by roundings, whose signs are roots by the million, on output times
// too.
TEST(Ending, IsTheHorizonOfTokensThatStayLevel) {
  for (const std::string_view name : {"sigmoid", "softmax1", "elu1", "elu1/sum"}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const flow::Trajectory t =
          run({flow::Model::kReduced, flow::Loss::kSquare, &row(name)}, flow::Solver::kBdf, seed, 200);
      EXPECT_NE(t.ending, Ending::kStuck) << name;
      EXPECT_TRUE(t.events.empty()) << name << ", seed " << seed << ": " << t.events.size();
    }
  }
}

// |z| draws the score of the token that u leaves behind to its kink at zero, from either side.
TEST(Ending, IsStuckWhereAScoreSlidesAlongAKink) {
  const Combination one{flow::Model::kValueSoftmax, flow::Loss::kLogistic, &row("abs/sum")};
  const flow::Trajectory t = run(one, flow::Solver::kAuto, 0);
  EXPECT_EQ(t.ending, Ending::kStuck);
  EXPECT_NEAR(t.t.back(), 51.453, 1e-3);
  EXPECT_LT(*std::min_element(t.sigma.end() - 3, t.sigma.end()), 1e-9);
  EXPECT_EQ(t.final_state.scores, Vector(t.scores.end() - 3, t.scores.end()));
  // A smooth re-weighting goes on.
  const flow::Trajectory smooth = run({one.model, one.loss, &row("square/sum")}, flow::Solver::kAuto, 0);
  EXPECT_EQ(smooth.ending, Ending::kHorizon);
}

TEST(Ending, IsStuckWithAnyRecords) {
  const Combination one{flow::Model::kTied, flow::Loss::kKl, &row("relu/sum")};
  const flow::Start start = usual(one, 0);
  const auto ends = [&](Vector times) {
    return flow::integrate(start.problem, start.state, {.until = kUntil, .times = std::move(times), .progress = {}});
  };
  const flow::Trajectory few = ends({0.0, kUntil}), late = ends({kUntil}), many = ends({});
  for (const flow::Trajectory* t : {&few, &late, &many}) {
    EXPECT_EQ(t->ending, Ending::kStuck);
    EXPECT_NEAR(t->t.back(), 28.97, 0.01);
    EXPECT_LT(t->events.size(), 10U);
  }
  EXPECT_EQ(few.points(), 2U);
  EXPECT_EQ(late.points(), 1U);
}

}  // namespace
}  // namespace polariscope::testing
