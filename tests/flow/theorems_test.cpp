// The theorems as properties of many random trajectories: no check that applies is violated.
#include "polariscope/flow/checks.h"
#include "polariscope/flow/ensemble.h"
#include "problems.h"

#include <map>
#include <mutex>

namespace polariscope::testing {
namespace {

// Under the address sanitizer each trajectory costs about six times as much.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t kMany = 10'000;
#else
constexpr std::int64_t kMany = 100'000;
#endif
constexpr std::int64_t kSome = kMany / 10;

// Gradient descent rounds each of its few hundred steps at 1e-16.
constexpr double kTolerance = 1e-10;
constexpr std::string_view kPrinted = "A.thm3.2/a-differences";

struct Tally {
  std::int64_t applied = 0;
  std::int64_t violated = 0;
  double worst = INFINITY;
  std::int64_t worst_trajectory = -1;
};

std::map<std::string_view, Tally> tallies(const std::function<flow::Start(std::int64_t)>& draw,
                                          std::int64_t trajectories, std::int64_t steps, double step, int samples) {
  std::map<std::string_view, Tally> all;
  std::mutex mutex;
  flow::EnsembleOptions options{
      .trajectories = trajectories,
      .threads = 0,
      .descent = {.step = step, .steps = steps, .samples = flow::log_samples(steps, samples), .progress = {}},
      .progress = {}};
  flow::descend_ensemble(draw, options, [&](std::int64_t i, const flow::Trajectory& t) {
    const auto results = flow::run_checks(t, kTolerance);
    const std::lock_guard lock(mutex);
    for (const flow::CheckResult& result : results) {
      if (!result.applies) continue;
      Tally& tally = all[result.id];
      ++tally.applied;
      if (!result.holds()) ++tally.violated;
      if (!(result.margin >= tally.worst)) {
        tally.worst = result.margin;
        tally.worst_trajectory = i;
      }
    }
  });
  return all;
}

// Every id of `expected` applied to every trajectory, and nothing that applied was violated.
void expect_no_violation(const std::map<std::string_view, Tally>& all, std::uint64_t seed, std::int64_t trajectories,
                         const std::vector<std::string_view>& expected) {
  for (const auto& [id, tally] : all) {
    if (id == kPrinted) continue;
    EXPECT_EQ(tally.violated, 0) << id << ": worst margin " << tally.worst << " of trajectory "
                                 << tally.worst_trajectory << ", seed " << seed;
  }
  for (const std::string_view id : expected) {
    ASSERT_TRUE(all.contains(id)) << id << " never applied";
    EXPECT_EQ(all.at(id).applied, trajectories) << id;
  }
}

const std::vector<std::string_view> kTheorem{
    "A.thm3.2/order", "A.thm3.2/u-differences", "A.thm3.2/winner-differences", "A.thm3.2/lyapunov", "A.lemD.1/sum",
    "A.lemD.2/rate",  "A.lemD.4/order"};

TEST(Theorems, OfTheLogisticLossHoldOnAHundredThousandTrajectories) {
  constexpr std::uint64_t kSeed = 171;
  const auto draw = [](std::int64_t i) {
    flow::StartOptions options;
    // From nearly level u to one well apart, and from a₀ = 0 to a₀ = ±2.
    options.value_scale = std::pow(10.0, -2.0 + 2.0 * static_cast<double>(i % 100) / 99.0);
    options.score_offset = static_cast<double>(i % 5) - 2.0;
    return flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("softmax"), options, kSeed, i);
  };
  const auto all = tallies(draw, kMany, 300, 0.1, 8);
  expect_no_violation(all, kSeed, kMany, kTheorem);
}

// The statement printed for every pair fails for pairs of losers, once the winner has drawn ahead.
TEST(Theorems, AsPrintedForEveryPairFailsWhereTheWinnersPairsHold) {
  constexpr std::uint64_t kSeed = 172;
  const auto draw = [](std::int64_t i) {
    return flow::random_start(flow::Model::kReduced, flow::Loss::kLogistic, row("softmax"), {}, kSeed, i);
  };
  const auto all = tallies(draw, kSome / 10, 10'000, 0.1, 12);
  expect_no_violation(all, kSeed, kSome / 10, kTheorem);
  EXPECT_GT(all.at("A.thm3.3/loss").applied, 0.9 * kSome / 10);  // all but near ties of u₀
  EXPECT_GT(all.at(kPrinted).violated, all.at(kPrinted).applied / 10);
}

TEST(Theorems, OfTheSquareLossHold) {
  constexpr std::uint64_t kSeed = 173;
  const auto draw = [](std::int64_t i) { return along_beta(8, 8, kSeed + i, row("softmax")); };
  const auto all = tallies(draw, kSome, 1000, 0.1, 10);
  expect_no_violation(
      all, kSeed, kSome,
      {"A.lem3.5/along-beta", "A.c1/strength", "A.c1/not-one-hot", "A.lemD.1/sum", "A.lemD.2/rate", "A.lemD.4/order"});
}

TEST(Theorems, OfOtherMonotoneFunctionsHold) {
  constexpr std::uint64_t kSeed = 174;
  for (const std::string_view name : {"sigmoid/sum", "elu1/sum", "softmax"}) {
    for (const flow::Loss loss : {flow::Loss::kLogistic, flow::Loss::kSquare}) {
      const auto draw = [&](std::int64_t i) {
        return loss == flow::Loss::kSquare
                   ? along_beta(8, 8, kSeed + i, row(name))
                   : flow::random_start(flow::Model::kValueSoftmax, loss, row(name), {}, kSeed, i);
      };
      expect_no_violation(tallies(draw, kSome / 4, 500, 0.1, 6), kSeed, kSome / 4, {"A.lemD.2/rate", "A.lemD.4/order"});
    }
  }
}

TEST(Theorems, OfAnyLossAndStartHold) {
  constexpr std::uint64_t kSeed = 175;
  for (const flow::Loss loss :
       {flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares, flow::Loss::kKl}) {
    for (const std::string_view name : {"softmax", "sigmoid", "identity/sum", "square/sum"}) {
      const auto draw = [&](std::int64_t i) {
        return flow::random_start(flow::Model::kValueSoftmax, loss, row(name), tame(6, 6, 1), kSeed, i);
      };
      const auto all = tallies(draw, kSome / 10, 300, 0.02, 6);
      expect_no_violation(all, kSeed, kSome / 10, {"A.lemD.2/rate"});
      EXPECT_EQ(all.contains("A.lemD.1/sum"), name == "softmax");
    }
  }
}

TEST(Theorems, OfManyRowsKeepTheSumsOfTheirScores) {
  constexpr std::uint64_t kSeed = 176;
  const auto draw = [](std::int64_t i) {
    return flow::random_start(flow::Model::kRows, flow::Loss::kLogistic, row("softmax"), tame(6, 6, 4), kSeed, i);
  };
  expect_no_violation(tallies(draw, kSome / 4, 300, 0.1, 6), kSeed, kSome / 4, {"A.lemD.1/sum"});
}

}  // namespace
}  // namespace polariscope::testing
