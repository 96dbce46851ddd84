#include "polariscope/flow/trajectory.h"

#include "polariscope/base/files.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/internal/point.h"
#include "problems.h"
#include "support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <numeric>

namespace polariscope::testing {
namespace {

// One observation of a value-softmax state with softmax and logistic loss.
flow::Trajectory observed(int d, int k, const Vector& values, const Vector& scores, std::string_view name = "softmax") {
  flow::Start start = level_start(d, k, 151);
  start.problem.reweighting = &row(name);
  start.state.values = values;
  start.state.scores = scores;
  flow::Trajectory t = flow::Trajectory::starting(start.problem, start.state);
  flow::observe(t, start.state, 1.5, 2.5, true);
  return t;
}

TEST(Trajectory, EffectiveRankCountsEqualSingularValues) {
  Vector identity(16);
  for (int i = 0; i < 4; ++i) identity[i * 5] = 3.0;
  EXPECT_NEAR(observed(4, 4, identity, Vector(4)).effective_rank[0], 4.0, 1e-13);
  Vector rank_one;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 4; ++j) rank_one.push_back((i + 1.0) * (j - 1.5));
  }
  EXPECT_NEAR(observed(3, 4, rank_one, Vector(4)).effective_rank[0], 1.0, 1e-12);
  // Singular values 3 and 1: exp(H(3/4, 1/4)).
  const flow::Trajectory two = observed(2, 3, {0.0, 3.0, 0.0, 1.0, 0.0, 0.0}, Vector(3));
  EXPECT_NEAR(two.effective_rank[0], std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)), 1e-14);
  EXPECT_NEAR(two.singular_values[0], 3.0, 1e-14);
  EXPECT_NEAR(two.singular_values[1], 1.0, 1e-14);
  EXPECT_TRUE(std::isnan(observed(2, 2, Vector(4), Vector(2)).effective_rank[0])) << "zeros have no rank to speak of";
}

TEST(Trajectory, EntropyIsOfTheNormalisedWeights) {
  EXPECT_NEAR(observed(2, 5, Vector(10, 0.1), Vector(5, 3.0)).entropy[0], std::log(5.0), 1e-15);
  EXPECT_NEAR(observed(2, 5, Vector(10, 0.1), Vector(5, 3.0), "sigmoid").entropy[0], std::log(5.0), 1e-15);
  EXPECT_EQ(observed(2, 3, Vector(6, 0.1), {0.0, 2000.0, 0.0}).entropy[0], 0.0);
  const flow::Trajectory third = observed(2, 3, Vector(6, 0.1), {3.0, 1.0, 0.0}, "relu/sum");
  EXPECT_NEAR(third.entropy[0], -0.75 * std::log(0.75) - 0.25 * std::log(0.25), 1e-15);
  EXPECT_EQ(third.winner[0], 0.0);
}

TEST(Trajectory, EntropyOfSignedWeightsIsNotDefinedButThatOfTheirSizesIs) {
  const flow::Trajectory t = observed(2, 3, Vector(6, 0.1), {3.0, -1.0, 2.0}, "identity/sum");
  EXPECT_TRUE(std::isnan(t.entropy[0]));
  EXPECT_NEAR(t.abs_entropy[0], -(0.5 * std::log(0.5) + std::log(1.0 / 6) / 6 + std::log(1.0 / 3) / 3), 1e-15);
}

// 4.9e-324 over a sum of 3 is no number, but its entropy is next to nothing.
TEST(Trajectory, EntropyStaysFiniteBesideTheSmallestNumber) {
  const flow::Trajectory t = observed(2, 4, Vector(8, 0.1), {-744.4, 40.0, 40.0, 40.0}, "sigmoid");
  EXPECT_GT(t.sigma[0], 0.0);
  EXPECT_NEAR(t.entropy[0], std::log(3.0), 1e-15);
}

TEST(Trajectory, RecordsWhatTheStateSays) {
  const flow::Start start =
      flow::random_start(flow::Model::kRows, flow::Loss::kSquare, row("softmax"), tame(3, 4, 2), 152);
  flow::Trajectory t = flow::Trajectory::starting(start.problem, start.state);
  flow::observe(t, start.state, 0.75, 1.25, true);
  const flow::Point point = flow::evaluate(start.problem, start.state);
  EXPECT_EQ(t.t, Vector{0.75});
  EXPECT_EQ(t.strength, Vector{1.25});
  EXPECT_EQ(t.loss, Vector{point.loss});
  EXPECT_EQ(t.scores, start.state.scores);
  EXPECT_EQ(t.sigma, point.sigma);
  EXPECT_EQ(t.u, flow::projections(start.problem, start.state));
  EXPECT_EQ(t.gradient_output, Vector{point.gradient_norm});
  EXPECT_EQ(t.entropy.size(), 2U);
  EXPECT_EQ(t.winner.size(), 2U);
  EXPECT_EQ(t.singular_values.size(), 3U);
  // ‖V - βuᵀ/‖β‖²‖_F by Pythagoras.
  double values = 0.0;
  double along = 0.0;
  for (double v : start.state.values) values += v * v;
  for (double u : t.u) along += u * u;  // ‖β‖ = 1
  EXPECT_NEAR(t.orthogonal[0], std::sqrt(values - along), 1e-14);
}

TEST(Trajectory, TheMeasuredLossRateIsThatOfTheGradients) {
  for (const Combination& one : combinations()) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const flow::Start start = flow::random_start(one.model, one.loss, *one.reweighting,
                                                   tame(5, 5, one.model == flow::Model::kRows ? 2 : 1), seed);
      flow::Trajectory t = flow::Trajectory::starting(start.problem, start.state);
      flow::observe(t, start.state, 0.0, 0.0, false);
      const double expected = -std::pow(t.gradient_values[0], 2) - std::pow(t.gradient_scores[0], 2);
      // A central difference over about a hundredth of the residual: its square, and some room.
      EXPECT_NEAR(t.loss_rate[0], expected, 1e-3 * std::abs(expected)) << one.name() << ", seed " << seed;
    }
  }
}

TEST(Trajectory, TheLossRateHoldsToTheEndOfTheFlow) {
  const flow::Start start = level_start(8, 8, 153);
  const flow::Trajectory t = flow::integrate(
      start.problem, start.state, {.until = 1e299, .times = {}, .solver = flow::Solver::kAuto, .progress = {}});
  for (std::size_t n = 0; n < t.points(); ++n) {
    if (t.loss[n] < 1e-150) continue;  // its square underflows
    const double expected = -std::pow(t.gradient_values[n], 2) - std::pow(t.gradient_scores[n], 2);
    EXPECT_NEAR(t.loss_rate[n], expected, 1e-3 * std::abs(expected)) << "t = " << t.t[n];
  }
}

TEST(Trajectory, NumPyOpensItInOneLineWithAllFields) {
  if (std::system("/usr/bin/python3 -c 'import numpy' > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "/usr/bin/python3 has no NumPy (Debian: python3-numpy)";
  }
  const TemporaryFolder folder;
  const flow::Start start =
      flow::random_start(flow::Model::kRows, flow::Loss::kSquare, row("softmax"), tame(3, 4, 2), 154);
  const flow::Trajectory t =
      flow::descend(start.problem, start.state,
                    {.step = 0.1, .steps = 100, .samples = {0, 10, 100}, .singular_values = true, .progress = {}});
  flow::write_trajectory(t, folder.path(), {{"seed", 154}});
  const std::string program = fmt::format(
      "import json, numpy\n"
      "x = numpy.load('{0}/trajectory.npy')\n"
      "shapes = {{name: x[name].shape for name in x.dtype.names}}\n"
      "one, rows, wide = (3,), (3, 2), (3, 8)\n"
      "assert shapes == dict(t=one, loss=one, a=wide, u=(3, 4), sigma=wide, entropy=rows, abs_entropy=rows,\n"
      "    winner=rows, gradient_values=one, gradient_scores=one, gradient_output=one, loss_rate=one, strength=one,\n"
      "    orthogonal=one, singular_values=(3, 3), effective_rank=one), shapes\n"
      "assert x['loss'].tolist() == {1}, x['loss']\n"
      "assert x['sigma'].ravel().tolist() == {2}, x['sigma']\n"
      "assert abs(x['sigma'].reshape(3, 2, 4).sum(axis=2) - 1).max() < 1e-15\n"
      "d = json.load(open('{0}/trajectory.json'))\n"
      "assert d['model'] == 'rows' and d['loss'] == 'square' and d['reweighting'] == 'softmax', d\n"
      "assert (d['outputs'], d['tokens'], d['rows'], d['points']) == (3, 4, 2, 3), d\n"
      "assert d['ending'] == 'horizon' and d['what']['seed'] == 154 and len(d['beta']) == 3, d\n",
      folder.path().string(), nlohmann::json(t.loss).dump(), nlohmann::json(t.sigma).dump());
  write_file(folder.path() / "load.py", program);
  EXPECT_EQ(std::system(fmt::format("/usr/bin/python3 {}", (folder.path() / "load.py").string()).c_str()), 0);
}

TEST(Trajectory, ItsDescriptionListsTheEvents) {
  const TemporaryFolder folder;
  const flow::Start start = level_start(2, 2, 155);
  flow::Trajectory t = flow::Trajectory::starting(start.problem, start.state);
  flow::observe(t, start.state, 0.0, 0.0, false);
  t.ending = flow::Ending::kConverged;
  t.events.push_back({.t = 3.5, .row = 0, .risen = 1, .fallen = 0, .winner = true});
  flow::write_trajectory(t, folder.path(), "by hand");
  const auto described = nlohmann::json::parse(read_file(folder.path() / "trajectory.json"));
  EXPECT_EQ(described["ending"], "converged");
  EXPECT_EQ(described["events"].dump(), R"([{"fallen":0,"risen":1,"row":0,"t":3.5,"winner":true}])");
}

}  // namespace
}  // namespace polariscope::testing
