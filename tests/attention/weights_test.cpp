// What holds of the matrix of weights besides its agreement with the reference (conformance_test.cpp).
#include "polariscope/attention/weights.h"

#include "agreement.h"
#include "support/simd_targets.h"

#include <cstring>
#include <numeric>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 121;
constexpr attention::AttentionShape kShape{
    .batch = 2, .heads = 4, .key_heads = 2, .queries = 67, .keys = 131, .width = 5, .value_width = 3};

class Weights : public ::testing::TestWithParam<reweighting::AttentionForm> {
 protected:
  static Problem<float> masked_problem() {
    RandomStream random(kSeed, stream_of(GetParam()));
    Problem<float> problem = random_problem<float>(GetParam(), kShape, random, Layout::kRowsFirst, 1);
    problem.causal = true;
    problem.window = 70;
    problem.key_lengths = {131, 60};  // of which the first queries see none
    return problem;
  }
  // [batch, heads, count, keys].
  static std::vector<float> rows(Problem<float>& problem, std::int64_t first, std::int64_t count) {
    std::vector<float> weights(kShape.batch * kShape.heads * count * kShape.keys, -7.0F);
    attention::attention_weights(problem.input(), first, count, weights.data(), 2);
    return weights;
  }
};

TEST_P(Weights, TakenAFewRowsAtATimeHaveTheBitsOfTheWhole) {
  Problem<float> problem = masked_problem();
  for_each_simd_target([&] {
    const std::vector<float> whole = rows(problem, 0, kShape.queries);
    for (const std::int64_t step : {1, 7, 16, 50}) {
      for (std::int64_t first = 0; first < kShape.queries; first += step) {
        const std::int64_t count = std::min(step, kShape.queries - first);
        const std::vector<float> part = rows(problem, first, count);
        for (std::int64_t head = 0; head < kShape.batch * kShape.heads; ++head) {
          ASSERT_EQ(std::memcmp(part.data() + head * count * kShape.keys,
                                whole.data() + (head * kShape.queries + first) * kShape.keys,
                                count * kShape.keys * sizeof(float)),
                    0)
              << "head " << head << ", queries " << first << " to " << first + count;
        }
      }
    }
  });
}

// Σ|p|, which the rounding of a sum of signed weights goes with.
float size_of(const float* row) {
  return std::accumulate(row, row + kShape.keys, 0.0F, [](float sum, float p) { return sum + std::abs(p); });
}

// Σp of a row which sees a key.
void expect_sum(const reweighting::AttentionForm& form, float sum, float rounding) {
  switch (form.rule) {
    case reweighting::RowRule::kSparsemax:
    case reweighting::RowRule::kEntmax: EXPECT_NEAR(sum, 1.0F, rounding); return;
    case reweighting::RowRule::kSoftpick: EXPECT_TRUE(sum >= 0.0F && sum <= 1.0F + rounding) << sum; return;
    case reweighting::RowRule::kClippedSoftmax: EXPECT_GE(sum, 0.0F); return;
    case reweighting::RowRule::kElementwise: break;
  }
  switch (form.normaliser) {
    case reweighting::Normaliser::kSum:
      // All the weights of a row may be zero.
      if (attention::oracle::weight(form.weight, -1.0F) == 0.0F && sum == 0.0F) return;
      EXPECT_NEAR(sum, 1.0F, rounding);
      return;
    case reweighting::Normaliser::kSumAndSink: EXPECT_TRUE(sum > 0.0F && sum < 1.0F) << sum; return;
    case reweighting::Normaliser::kMax1: EXPECT_LE(std::abs(sum), 1.0F + rounding); return;
    case reweighting::Normaliser::kCount:
    case reweighting::Normaliser::kNone: return;
  }
}

TEST_P(Weights, OfARowSumAsTheFormSays) {
  Problem<float> problem = masked_problem();
  Forward<float> forward(problem);
  attention::attend(problem.input(), forward.view(), 1);
  const std::vector<float> weights = rows(problem, 0, kShape.queries);
  for (std::int64_t row = 0; row < problem.rows(); ++row) {
    SCOPED_TRACE(row);
    const float* p = weights.data() + row * kShape.keys;
    const float sum = std::accumulate(p, p + kShape.keys, 0.0F);
    if (forward.visible[row] == 0) {
      EXPECT_EQ(sum, 0.0F);
    } else {
      expect_sum(GetParam(), sum, 1e-6F * (1.0F + size_of(p)));
    }
  }
}

TEST_P(Weights, AreWhatAttentionMultipliesTheValuesBy) {
  attention::AttentionShape shape = kShape;
  shape.value_width = shape.keys;
  RandomStream random(kSeed, stream_of(GetParam()) + 1);
  Problem<float> problem = random_problem<float>(GetParam(), shape, random);
  problem.causal = true;
  problem.value.for_each([](float& x) { x = 0.0F; });
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.key_heads; ++h) {
      for (std::int64_t j = 0; j < shape.keys; ++j) problem.value.row(b, h, j)[j] = 1.0F;
    }
  }
  Forward<float> forward(problem);
  attention::attend(problem.input(), forward.view(), 1);
  const std::vector<float> output = forward.output.packed(), weights = rows(problem, 0, shape.queries);
  for (std::int64_t row = 0; row < problem.rows(); ++row) {
    const float* p = weights.data() + row * shape.keys;
    const float rounding = 1e-6F * (1.0F + size_of(p));
    for (std::int64_t j = 0; j < shape.keys; ++j) {
      ASSERT_NEAR(p[j], output[row * shape.keys + j], rounding * (1.0F + std::abs(p[j]))) << row << " " << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Family, Weights,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

}  // namespace
}  // namespace polariscope::testing
