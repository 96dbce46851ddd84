// The analytic gradient against central differences of the loss, for every combination.
#include "polariscope/flow/internal/point.h"

#include "problems.h"

namespace polariscope::testing {
namespace {

// Order 4 with step 1e-3: truncation 1e-12 of the fifth derivative, rounding 1e-13 of the loss.
double difference(const flow::Problem& problem, const flow::State& state, Vector flow::State::*part,
                  std::size_t index) {
  constexpr double kStep = 1e-3;
  const auto loss = [&](double move) {
    flow::State there = state;
    (there.*part)[index] += move * kStep;
    return flow::loss_of(problem, there);
  };
  return (8.0 * (loss(1.0) - loss(-1.0)) - (loss(2.0) - loss(-2.0))) / (12.0 * kStep);
}

TEST(Point, TheGradientIsTheLossesDerivative) {
  constexpr std::uint64_t kSeed = 81;
  for (const Combination& combination : combinations()) {
    for (const int tokens : {1, 3, 6}) {
      const int outputs = combination.model == flow::Model::kTied ? tokens : 4;
      const flow::Start start =
          flow::random_start(combination.model, combination.loss, *combination.reweighting,
                             tame(outputs, tokens, combination.model == flow::Model::kRows ? 3 : 1), kSeed, tokens);
      const flow::Point point = flow::evaluate(start.problem, start.state);
      const double square = [&] {
        double sum = 0.0;
        for (double b : start.problem.beta) sum += b * b;
        return sum;
      }();
      for (const auto part : {&flow::State::values, &flow::State::scores, &flow::State::projections}) {
        // u descends in the metric of V: its slope is ∂L/∂u times ‖β‖².
        const double metric = part == &flow::State::projections ? square : 1.0;
        for (std::size_t i = 0; i < (start.state.*part).size(); ++i) {
          EXPECT_NEAR((point.slope.*part)[i], metric * difference(start.problem, start.state, part, i),
                      1e-9 * (1.0 + point.loss))
              << combination.name() << ", k = " << tokens << ", entry " << i << ", seed " << kSeed;
        }
      }
    }
  }
}

TEST(Point, TheLossIsItsFormula) {
  const flow::Start start =
      flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("sigmoid"), tame(3, 4, 1), 82);
  const flow::Problem& p = start.problem;
  const flow::Point point = flow::evaluate(p, start.state);
  Vector b(3);
  double z = 0.0;
  double squared = 0.0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 4; ++j) b[i] += start.state.values[i * 4 + j] / (1.0 + std::exp(-start.state.scores[j]));
    z += p.beta[i] * b[i];
    squared += 0.5 * (p.beta[i] - b[i]) * (p.beta[i] - b[i]);
  }
  EXPECT_NEAR(point.loss, std::log(1.0 + std::exp(-z)), 1e-14);

  flow::Problem square = p;
  square.loss = flow::Loss::kSquare;
  EXPECT_NEAR(flow::loss_of(square, start.state), squared, 1e-14);

  // Σ(β - Xb)², no ½.
  flow::Problem least = p;
  least.loss = flow::Loss::kLeastSquares;
  least.design = {1.0, 2.0, -1.0, 0.5, 0.0, 3.0};
  least.beta = {0.7, -0.2};
  const double first = 0.7 - (b[0] + 2.0 * b[1] - b[2]);
  const double second = -0.2 - (0.5 * b[0] + 3.0 * b[2]);
  EXPECT_NEAR(flow::loss_of(least, start.state), first * first + second * second, 1e-14);

  flow::Problem kl = p;
  kl.loss = flow::Loss::kKl;
  kl.target = {0.2, 0.0, 0.8};
  const double partition = std::log(std::exp(b[0]) + std::exp(b[1]) + std::exp(b[2]));
  EXPECT_NEAR(flow::loss_of(kl, start.state), -0.2 * (b[0] - partition) - 0.8 * (b[2] - partition), 1e-14);
}

TEST(Point, TheRowsLossIsTheSumOfItsRows) {
  const flow::Start start =
      flow::random_start(flow::Model::kRows, flow::Loss::kSquare, row("softmax"), tame(4, 5, 3), 83);
  double sum = 0.0;
  for (int t = 0; t < 3; ++t) {
    flow::Problem one = start.problem;
    one.model = flow::Model::kValueSoftmax;
    one.rows = 1;
    flow::State state = start.state;
    state.scores.assign(start.state.scores.begin() + 5 * t, start.state.scores.begin() + 5 * (t + 1));
    sum += flow::loss_of(one, state);
  }
  EXPECT_NEAR(flow::loss_of(start.problem, start.state), sum, 1e-14);
}

TEST(Point, TheLogisticLossKeepsItsDigitsInBothTails) {
  flow::Start start = level_start(2, 1, 84);
  start.problem.beta = {1.0, 0.0};
  const auto loss = [&](double z) {
    start.state.values = {z, 0.0};
    return flow::loss_of(start.problem, start.state);
  };
  EXPECT_DOUBLE_EQ(loss(50.0), std::exp(-50.0));
  EXPECT_DOUBLE_EQ(loss(700.0), std::exp(-700.0));
  EXPECT_DOUBLE_EQ(loss(-800.0), 800.0);
}

}  // namespace
}  // namespace polariscope::testing
