// The SIMD kernels, on every instruction set that the machine has, against the plain doubles of point.h.
#include "polariscope/flow/internal/kernels.h"

#include "polariscope/flow/internal/finite.h"
#include "polariscope/flow/internal/point.h"
#include "problems.h"
#include "support/simd_targets.h"

#include <array>
#include <limits>

namespace polariscope::testing {
namespace {

// Sizes below, at and above whole vectors of 2, 4 and 8 numbers.
constexpr std::array<int, 11> kSizes{1, 2, 3, 5, 7, 8, 9, 16, 17, 20, 33};
constexpr double kStep = 0.1;
// A step rounds a few hundred times, each 1e-16 of the largest number: 1e-12 leaves a factor of ten.
constexpr double kTolerance = 1e-12;

flow::Start random_shape(const Combination& combination, RandomStream& random, std::uint64_t seed,
                         std::uint64_t stream) {
  const auto size = [&] { return kSizes[random.below(kSizes.size())]; };
  const int k = size();
  const int d = combination.model == flow::Model::kTied ? k : size();
  const int rows = combination.model == flow::Model::kRows ? 1 + static_cast<int>(random.below(5)) : 1;
  flow::StartOptions options = tame(d, k, rows);
  options.samples = d + static_cast<int>(random.below(3));
  return flow::random_start(combination.model, combination.loss, *combination.reweighting, options, seed, stream);
}

std::string shape(const flow::Start& start) {
  return fmt::format("d = {}, k = {}, rows = {}", start.problem.outputs, start.problem.tokens, start.problem.rows);
}

struct Expected {
  flow::State state;
  double strength;
};

// `count` steps of descent in plain doubles.
Expected oracle(const flow::Start& start, int count, double strength) {
  Expected now{start.state, strength};
  for (int n = 0; n < count; ++n) {
    const flow::Point point = flow::evaluate(start.problem, now.state);
    now.state = flow::moved(now.state, -kStep, point.slope);
    now.strength += kStep * point.gradient_norm;
  }
  return now;
}

TEST(Kernels, RunOnTheTargetThatTheTestChose) {
  std::vector<std::string> names;
  for_each_simd_target([&] { names.push_back(flow::simd_target()); });
  std::vector<std::string> expected;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) expected.emplace_back(hwy::TargetName(target));
  EXPECT_EQ(names, expected);
}

class EveryKernel : public ::testing::TestWithParam<Combination> {
 protected:
  static constexpr std::uint64_t kSeed = 71;
  static constexpr int kShapes = 8;
  static constexpr int kCount = 3;
};

TEST_P(EveryKernel, AlongTokensStepsAsPlainDoublesDo) {
  for_each_simd_target([&] {
    RandomStream random(kSeed, 0);
    for (int i = 0; i < kShapes; ++i) {
      const flow::Start start = random_shape(GetParam(), random, kSeed, i);
      flow::FieldArrays arrays(start.problem, flow::Packing::kAlongTokens);
      arrays.set(0, start.problem, start.state, 0.5);
      flow::descend_along_tokens(arrays.views(), kStep, kCount);
      flow::State state = start.state;
      double strength = 0.0;
      arrays.get(0, state, strength);
      const Expected expected = oracle(start, kCount, 0.5);
      EXPECT_LE(relative_error(state, expected.state), kCount * kTolerance) << "seed " << kSeed << ", " << shape(start);
      EXPECT_NEAR(strength, expected.strength, kCount * kTolerance * expected.strength) << shape(start);
    }
  });
}

TEST_P(EveryKernel, AcrossTrajectoriesStepsAsPlainDoublesDo) {
  for_each_simd_target([&] {
    RandomStream random(kSeed + 1, 0);
    for (int i = 0; i < kShapes / 2; ++i) {
      const flow::Start first = random_shape(GetParam(), random, kSeed + 1, 100 * i);
      const flow::StartOptions options = [&] {
        flow::StartOptions same = tame(first.problem.outputs, first.problem.tokens, first.problem.rows);
        same.samples = first.problem.samples();
        return same;
      }();
      flow::FieldArrays arrays(first.problem, flow::Packing::kAcrossTrajectories);
      ASSERT_EQ(arrays.lanes(), flow::simd_lanes());
      std::vector<flow::Start> starts;
      for (int lane = 0; lane < arrays.lanes(); ++lane) {
        starts.push_back(flow::random_start(GetParam().model, GetParam().loss, *GetParam().reweighting, options,
                                            kSeed + 2, 100 * i + lane));
        arrays.set(lane, starts[lane].problem, starts[lane].state, 0.1 * lane);
      }
      flow::descend_across_trajectories(arrays.views(), kStep, kCount);
      for (int lane = 0; lane < arrays.lanes(); ++lane) {
        flow::State state = starts[lane].state;
        double strength = 0.0;
        arrays.get(lane, state, strength);
        const Expected expected = oracle(starts[lane], kCount, 0.1 * lane);
        EXPECT_LE(relative_error(state, expected.state), kCount * kTolerance)
            << "seed " << kSeed + 2 << ", lane " << lane << ", " << shape(first);
        EXPECT_NEAR(strength, expected.strength, kCount * kTolerance * expected.strength) << shape(first);
      }
    }
  });
}

// Rows of width `width` that start `stride` apart.
Vector compact(const double* from, int rows, int width, int stride) {
  Vector numbers;
  for (int r = 0; r < rows; ++r) numbers.insert(numbers.end(), from + r * stride, from + r * stride + width);
  return numbers;
}

Vector times(Vector x, double factor) {
  for (double& value : x) value *= factor;
  return x;
}

TEST_P(EveryKernel, EvaluatesTheGradientTimesAnExponential) {
  for_each_simd_target([&] {
    RandomStream random(kSeed + 3, 0);
    for (const double log_scale : {0.0, -20.0, 5.0, 300.0, 688.0}) {
      const flow::Start start =
          random_shape(GetParam(), random, kSeed + 3, static_cast<std::uint64_t>(log_scale + 50.0));
      const flow::Problem& problem = start.problem;
      flow::FieldArrays arrays(problem, flow::Packing::kAlongTokens);
      arrays.set(0, problem, start.state, 0.0);
      const flow::FieldViews& f = arrays.views();
      const double norm = flow::evaluate_along_tokens(f, log_scale);

      const flow::Point point = flow::evaluate(problem, start.state);
      const double scale = std::exp(log_scale);
      const int outputs = problem.model == flow::Model::kReduced ? 1 : problem.outputs;
      const auto expect_near = [&](const Vector& found, const Vector& expected, const char* what) {
        EXPECT_LE(relative_error(found, expected), kTolerance)
            << what << ", log scale " << log_scale << ", seed " << kSeed + 3 << ", " << shape(start);
      };
      EXPECT_NEAR(norm, scale * point.gradient_norm, kTolerance * scale * point.gradient_norm) << shape(start);
      expect_near(compact(f.sigma, problem.rows, problem.tokens, f.stride), point.sigma, "sigma");
      expect_near(compact(f.gradient, problem.rows, outputs, f.output_stride), times(point.gradient, scale),
                  "gradient");
      const double* scores = problem.model == flow::Model::kTied ? f.pull : f.score_gradient;
      expect_near(compact(scores, problem.rows, problem.tokens, f.stride), times(point.slope.scores, scale), "scores");
      // The state itself stays.
      flow::State after = start.state;
      double strength = 0.0;
      arrays.get(0, after, strength);
      EXPECT_EQ(after.values, start.state.values);
      EXPECT_EQ(after.scores, start.state.scores);
    }
  });
}

TEST_P(EveryKernel, KeepsANaNOfTheState) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for_each_simd_target([&] {
    for (const int tokens : {1, 3, 8, 9}) {
      flow::StartOptions options = tame(tokens, tokens, 1);
      const flow::Start start =
          flow::random_start(GetParam().model, GetParam().loss, *GetParam().reweighting, options, kSeed + 4, tokens);
      for (int at = 0; at < tokens; ++at) {
        for (const bool in_scores : {true, false}) {
          flow::State bad = start.state;
          Vector& matrix = GetParam().model == flow::Model::kReduced ? bad.projections : bad.values;
          (in_scores ? bad.scores : matrix)[at] = kNan;
          for (const flow::Packing packing : {flow::Packing::kAlongTokens, flow::Packing::kAcrossTrajectories}) {
            flow::FieldArrays arrays(start.problem, packing);
            for (int lane = 0; lane < arrays.lanes(); ++lane) {
              arrays.set(lane, start.problem, lane == arrays.lanes() - 1 ? bad : start.state, 0.0);
            }
            if (packing == flow::Packing::kAlongTokens) {
              flow::descend_along_tokens(arrays.views(), 1e-3, 2);
            } else {
              flow::descend_across_trajectories(arrays.views(), 1e-3, 2);
            }
            double strength = 0.0;
            for (int lane = 0; lane < arrays.lanes(); ++lane) {
              flow::State state = start.state;
              arrays.get(lane, state, strength);
              const bool has_nan = lane == arrays.lanes() - 1;
              EXPECT_EQ(flow::all_finite(state), !has_nan)
                  << "lane " << lane << ", entry " << at << " of " << tokens << (in_scores ? " of a" : " of V or u");
              if (has_nan) {
                const Vector& where =
                    in_scores ? state.scores
                              : (GetParam().model == flow::Model::kReduced ? state.projections : state.values);
                EXPECT_TRUE(std::isnan(where[at]));
              }
            }
          }
        }
      }
    }
  });
}

std::string combination_name(const ::testing::TestParamInfo<Combination>& info) {
  std::string name = info.param.name();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Combinations, EveryKernel, ::testing::ValuesIn(combinations()), combination_name);

TEST(Combinations, AreTheTwoHundredThatMakeSense) {
  // value-softmax, rows and tied: 4 losses × 14 rows each; reduced: 2 × 14; linear: 4 × 1.
  EXPECT_EQ(combinations().size(),
            3U * 4 * reweighting::reweightings().size() + 2 * reweighting::reweightings().size() + 4);
}

// The late phase of the flow: margins of hundreds, where sigmoid(-z) alone would underflow.
TEST(Kernels, TakeTheLogisticLossesScaleAsOneExponential) {
  flow::Start start = level_start(8, 8, 5);
  for (double& v : start.state.values) v = 0.0;
  for (int i = 0; i < 8; ++i) start.state.values[i * 8 + 3] = 1000.0 * start.problem.beta[i];  // z = 1000 σ_3
  start.state.scores[3] = 40.0;
  const double log_scale = 690.0;
  for_each_simd_target([&] {
    flow::FieldArrays arrays(start.problem, flow::Packing::kAlongTokens);
    arrays.set(0, start.problem, start.state, 0.0);
    const double norm = flow::evaluate_along_tokens(arrays.views(), log_scale);
    const flow::Point point = flow::evaluate(start.problem, start.state);
    const double z = 1000.0 * point.sigma[3];
    // e^(690 - 1000): the exponent's rounding of 1e-13 is the result's.
    EXPECT_NEAR(norm, std::exp(log_scale - z), 1e-12 * std::exp(log_scale - z));
  });
}

// The fused softmax kernel keeps an old maximum until the scores have run 30 away from it.
TEST(Kernels, FollowScoresThatRunAwayWithinASingleStep) {
  flow::StartOptions options;
  options.value_scale = 300.0;
  options.score_scale = 1.0;
  for (std::uint64_t stream = 0; stream < 50; ++stream) {
    const flow::Start start =
        flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("softmax"), options, 72, stream);
    for_each_simd_target([&] {
      flow::FieldArrays arrays(start.problem, flow::Packing::kAlongTokens);
      arrays.set(0, start.problem, start.state, 0.0);
      flow::descend_along_tokens(arrays.views(), 1.0, 6);
      flow::State state = start.state;
      double strength = 0.0;
      arrays.get(0, state, strength);
      flow::State expected = start.state;
      for (int n = 0; n < 6; ++n) expected = flow::moved(expected, -1.0, flow::evaluate(start.problem, expected).slope);
      // Scores of hundreds turn a rounding of 1e-14 in them into one of 1e-12 in the weights.
      EXPECT_LE(relative_error(state, expected), 1e-10) << "seed 72, stream " << stream;
    });
  }
}

}  // namespace
}  // namespace polariscope::testing
