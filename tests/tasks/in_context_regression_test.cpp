#include "polariscope/tasks/in_context_regression.h"

#include "examples.h"
#include "polariscope/base/error.h"
#include "support/simd_targets.h"

#include <cmath>

namespace polariscope::testing {
namespace {

Examples<float> draw(const tasks::InContextRegression& task, std::int64_t first, std::int64_t count) {
  return examples_of<float>(task, first, count, std::int64_t{task.tokens()} * task.width(), 1);
}

TEST(InContextRegression, EveryTokenLiesOnOnePlaneAndTheQueryHidesItsAnswer) {
  const tasks::InContextRegression task({}, 3, tasks::Split::kTraining);
  const Examples<float> drawn = draw(task, 0, 200);
  for (std::int64_t i = 0; i < 200; ++i) {
    const float* tokens = drawn.tokens.data() + i * 80;
    // w from the first three tokens by Cramer's rule; then the others must have y = wᵀx.
    const auto determinant = [&](int replaced) {
      double m[3][3];
      for (int row = 0; row < 3; ++row) {
        for (int column = 0; column < 3; ++column) m[row][column] = tokens[row * 4 + (column == replaced ? 3 : column)];
      }
      return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
             m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    };
    const double scale = determinant(-1);
    const double w[3] = {determinant(0) / scale, determinant(1) / scale, determinant(2) / scale};
    for (int token = 0; token < 20; ++token) {
      const float* x = tokens + token * 4;
      const double y = token == 19 ? drawn.targets[i] : x[3];
      // The y are rounded to single precision, which nearly parallel x of the first three tokens amplify.
      EXPECT_NEAR(w[0] * x[0] + w[1] * x[1] + w[2] * x[2], y, 1e-4 / std::min(1.0, std::abs(scale)));
    }
    EXPECT_EQ(tokens[79], 0.0F);
  }
}

// w, then x of one token after another, as the example's own stream draws them.
TEST(InContextRegression, HoldsTheNumbersOfItsStreamOnEveryInstructionSet) {
  // Around 2^32 the streams' upper word changes within a vector.
  for_each_simd_target([] {
    for (const std::int64_t first : {std::int64_t{0}, (std::int64_t{1} << 32) - 5}) {
      const Examples<float> drawn =
          draw(tasks::InContextRegression({}, 0x1234567890ABCDEF, tasks::Split::kEvaluation), first, 333);
      for (std::int64_t i = 0; i < 333; ++i) {
        RandomStream random = tasks::example_stream(0x1234567890ABCDEF, tasks::Split::kEvaluation, first + i);
        double w[3];
        random.fill_normal(w, 1.0);
        for (int token = 0; token < 20; ++token) {
          double y = 0.0;
          for (int c = 0; c < 3; ++c) {
            const double x = random.normal();
            y += w[c] * x;
            // A few units of single precision's last place, at numbers up to 6.
            ASSERT_NEAR(drawn.tokens[i * 80 + token * 4 + c], x, 2e-6) << i << " " << token << " " << c;
          }
          EXPECT_NEAR(token == 19 ? drawn.targets[i] : drawn.tokens[i * 80 + token * 4 + 3], y, 2e-5);
        }
      }
    }
  });
}

TEST(InContextRegression, HasTheMomentsOfItsDefinition) {
  constexpr std::int64_t kExamples = 20'000;
  const Examples<float> drawn = draw(tasks::InContextRegression({}, 4, tasks::Split::kTraining), 0, kExamples);
  double x1 = 0.0, x2 = 0.0, y1 = 0.0, y2 = 0.0;
  for (std::int64_t i = 0; i < kExamples; ++i) {
    const double x = drawn.tokens[i * 80 + 41], y = drawn.targets[i];
    x1 += x / kExamples;
    x2 += x * x / kExamples;
    y1 += y / kExamples;
    y2 += y * y / kExamples;
  }
  // Five standard errors. E y² = 3, E y⁴ = 3 E‖w‖⁴ = 45: y² has the variance 36.
  const double root = std::sqrt(double{kExamples});
  EXPECT_NEAR(x1, 0.0, 5.0 / root);
  EXPECT_NEAR(x2, 1.0, 5.0 * std::sqrt(2.0) / root);
  EXPECT_NEAR(y1, 0.0, 5.0 * std::sqrt(3.0) / root);
  EXPECT_NEAR(y2, 3.0, 5.0 * 6.0 / root);
}

TEST(InContextRegression, AnExampleIsTheSameInWhateverBatchOrOrder) {
  expect_the_same_in_any_order<float>(tasks::InContextRegression({}, 5, tasks::Split::kTraining), 80, 1);
}

TEST(InContextRegression, SeedsAndSplitsDrawDifferentExamples) {
  const auto first = [](std::uint64_t seed, tasks::Split split) {
    return draw(tasks::InContextRegression({}, seed, split), 0, 1).tokens.front();
  };
  EXPECT_NE(first(1, tasks::Split::kTraining), first(1, tasks::Split::kEvaluation));
  EXPECT_NE(first(1, tasks::Split::kTraining), first(2, tasks::Split::kTraining));
}

TEST(InContextRegression, OtherSizesWork) {
  const tasks::InContextRegression task({.features = 1, .tokens = 2}, 6, tasks::Split::kTraining);
  const Examples<float> drawn = draw(task, 0, 50);
  for (std::int64_t i = 0; i < 50; ++i) {
    const float* tokens = drawn.tokens.data() + i * 4;
    EXPECT_NEAR(tokens[1] / tokens[0], drawn.targets[i] / tokens[2], 1e-5 * std::abs(tokens[1] / tokens[0]));
    EXPECT_EQ(tokens[3], 0.0F);
  }
}

TEST(InContextRegression, RefusesSizesWithTheNumbersInQuestion) {
  EXPECT_EQ(complaint_of([] { tasks::validate(tasks::InContextRegressionOptions{.tokens = 1}); }),
            "in-context regression: 1 tokens: an example and the query are 2");
  EXPECT_THROW(tasks::validate(tasks::InContextRegressionOptions{.features = 0}), Error);
  std::vector<float> tokens(80), targets;
  EXPECT_EQ(
      complaint_of([&] { tasks::InContextRegression({}, 1, tasks::Split::kTraining).fill(0, 1, tokens, targets); }),
      "in-context regression: targets holds 0 numbers: 1 examples of 1 need 1");
}

}  // namespace
}  // namespace polariscope::testing
