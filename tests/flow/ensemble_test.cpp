#include "polariscope/flow/ensemble.h"

#include "polariscope/flow/internal/kernels.h"
#include "problems.h"
#include "support/simd_targets.h"

#include <atomic>
#include <map>
#include <mutex>
#include <set>

namespace polariscope::testing {
namespace {

std::map<std::int64_t, flow::Trajectory> run(const std::function<flow::Start(std::int64_t)>& draw,
                                             std::int64_t trajectories, int threads, flow::DescentOptions descent) {
  std::map<std::int64_t, flow::Trajectory> all;
  std::mutex mutex;
  flow::EnsembleOptions options{
      .trajectories = trajectories, .threads = threads, .descent = std::move(descent), .progress = {}};
  flow::descend_ensemble(draw, options, [&](std::int64_t i, const flow::Trajectory& t) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(all.emplace(i, t).second) << "trajectory " << i << " was visited twice";
  });
  return all;
}

void expect_same_bits(const flow::Trajectory& found, const flow::Trajectory& expected, std::int64_t i) {
  EXPECT_EQ(found.final_state.values, expected.final_state.values) << "trajectory " << i;
  EXPECT_EQ(found.final_state.scores, expected.final_state.scores) << "trajectory " << i;
  EXPECT_EQ(found.loss, expected.loss) << "trajectory " << i;
  EXPECT_EQ(found.strength, expected.strength) << "trajectory " << i;
  EXPECT_EQ(found.ending, expected.ending) << "trajectory " << i;
  EXPECT_EQ(found.problem.beta, expected.problem.beta) << "trajectory " << i;
}

const flow::DescentOptions kThreeHundred{.step = 0.1, .steps = 300, .samples = {}, .progress = {}};

TEST(Ensemble, GivesTheSameBitsForAnyNumberOfThreadsAndTrajectories) {
  const auto draw = [](std::int64_t i) {
    return flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("softmax"), {}, 101, i);
  };
  const auto alone = run(draw, 37, 1, kThreeHundred);
  ASSERT_EQ(alone.size(), 37U);
  for (const auto& [trajectories, threads] : {std::pair{37, 2}, {37, 3}, {1, 1}, {2, 2}, {9, 1}, {16, 3}}) {
    const auto some = run(draw, trajectories, threads, kThreeHundred);
    ASSERT_EQ(some.size(), static_cast<std::size_t>(trajectories));
    for (const auto& [i, trajectory] : some) expect_same_bits(trajectory, alone.at(i), i);
  }
}

// Scores that jump by hundreds make a lane renew the maximum that it subtracts; its neighbours must not notice.
// One record at the end: the kernel takes a fresh maximum wherever it begins.
TEST(Ensemble, ATrajectoryDoesNotFeelItsNeighboursInTheVector) {
  const flow::DescentOptions unbroken{.step = 0.1, .steps = 300, .samples = {300}, .progress = {}};
  for (const flow::Loss loss : {flow::Loss::kLogistic, flow::Loss::kSquare}) {
    const auto draw = [loss](std::int64_t i) {
      flow::StartOptions options;
      options.value_scale = i % 3 == 0 ? 1e5 : 0.5;
      options.score_scale = 1.0;
      return flow::random_start(flow::Model::kValueSoftmax, loss, row("softmax"), options, 102, i);
    };
    const auto together = run(draw, 16, 1, unbroken);
    for (std::int64_t i = 0; i < 16; ++i) {
      const auto by_itself = run([&](std::int64_t) { return draw(i); }, 1, 1, unbroken);
      expect_same_bits(by_itself.at(0), together.at(i), i);
    }
  }
}

TEST(Ensemble, AgreesWithTheSingleTrajectoryForEveryCombination) {
  for (const Combination& combination : combinations()) {
    // Of the tied model Σ(Ua) passes through 0, where z/Σz has its pole and rounding its say.
    if (combination.model == flow::Model::kTied && combination.reweighting->name == "identity/sum") continue;
    const int rows = combination.model == flow::Model::kRows ? 3 : 1;
    const auto draw = [&](std::int64_t i) {
      return flow::random_start(combination.model, combination.loss, *combination.reweighting, tame(5, 5, rows), 103,
                                i);
    };
    int judged = 0;
    const flow::DescentOptions descent{.step = 0.005, .steps = 100, .samples = {}, .progress = {}};
    for (const auto& [i, trajectory] : run(draw, 11, 2, descent)) {
      const flow::Start start = draw(i);
      const flow::Trajectory alone = flow::descend(start.problem, start.state, descent);
      // Near a pole of 1/Σz, or where descent is unstable, rounding grows at every step: judged only while tame.
      if (alone.ending == flow::Ending::kDiverged || alone.loss.back() > alone.loss.front()) continue;
      ++judged;
      EXPECT_LE(relative_error(trajectory.final_state, alone.final_state), 1e-10)
          << combination.name() << ", seed 103, trajectory " << i;
    }
    EXPECT_GE(judged, 6) << combination.name();
  }
}

TEST(Ensemble, VisitsEveryTrajectoryOnceInABlockThatIsNotFull) {
  for_each_simd_target([&] {
    const std::int64_t count = 2 * flow::simd_lanes() + 1;
    const auto draw = [](std::int64_t i) {
      return flow::random_start(flow::Model::kReduced, flow::Loss::kLogistic, row("softmax"), {}, 104, i);
    };
    const auto all = run(draw, count, 2, kThreeHundred);
    ASSERT_EQ(static_cast<std::int64_t>(all.size()), count);
    EXPECT_EQ(all.rbegin()->first, count - 1);
    for (const auto& [i, trajectory] : all) {
      const flow::Start start = draw(i);
      const flow::Trajectory alone = flow::descend(start.problem, start.state, kThreeHundred);
      EXPECT_LE(relative_error(trajectory.final_state, alone.final_state), 1e-12) << "trajectory " << i;
    }
  });
}

TEST(Ensemble, OneTrajectoryThatDivergesLeavesTheOthersAlone) {
  const auto draw = [](std::int64_t i) {
    flow::Start start =
        flow::random_start(flow::Model::kLinear, flow::Loss::kSquare, row("identity"), tame(4, 4, 1), 105, i);
    if (i == 3) {
      for (double& v : start.state.values) v *= 1e3;
    }
    return start;
  };
  const auto all = run(draw, 8, 1, kThreeHundred);
  for (const auto& [i, trajectory] : all) {
    EXPECT_EQ(trajectory.ending, i == 3 ? flow::Ending::kDiverged : flow::Ending::kHorizon) << "trajectory " << i;
  }
}

TEST(Ensemble, PassesOnWhatItsFunctionsThrowAndRefusesAnEmptyOne) {
  const auto draw = [](std::int64_t i) {
    return flow::random_start(flow::Model::kReduced, flow::Loss::kLogistic, row("softmax"), {}, 106, i);
  };
  const auto ignore = [](std::int64_t, const flow::Trajectory&) {};
  const auto ask = [&](const auto& from, std::int64_t trajectories, double step) {
    return complaint_of([&] {
      flow::EnsembleOptions options{
          .trajectories = trajectories, .threads = 2, .descent = kThreeHundred, .progress = {}};
      options.descent.step = step;
      flow::descend_ensemble(from, options, ignore);
    });
  };
  EXPECT_EQ(ask(draw, 0, 0.1), "an ensemble of 0 trajectories: at least 1 is needed");
  EXPECT_NE(ask(draw, 5, -1.0), "");
  EXPECT_EQ(ask([](std::int64_t) -> flow::Start { throw Error("no such start"); }, 5, 0.1), "no such start");
  const auto invalid = [&](std::int64_t i) {
    flow::Start start = draw(i);
    start.state.scores[0] = NAN;
    return start;
  };
  EXPECT_NE(ask(invalid, 5, 0.1), "");
}

TEST(Ensemble, TellsHowManyAreDone) {
  std::atomic<std::int64_t> most = 0;
  flow::EnsembleOptions options{
      .trajectories = 20, .threads = 2, .descent = kThreeHundred, .progress = [&](std::int64_t done) {
        std::int64_t before = most;
        while (done > before && !most.compare_exchange_weak(before, done)) {
        }
      }};
  flow::descend_ensemble(
      [](std::int64_t i) {
        return flow::random_start(flow::Model::kReduced, flow::Loss::kLogistic, row("softmax"), {}, 107, i);
      },
      options, [](std::int64_t, const flow::Trajectory&) {});
  EXPECT_EQ(most, 20);
}

}  // namespace
}  // namespace polariscope::testing
