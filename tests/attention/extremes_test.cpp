// Rows that break careless kernels: huge scores, ties, nothing to see, NaN and infinity.
#include "agreement.h"
#include "support/simd_targets.h"

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 91;
constexpr attention::AttentionShape kShape{
    .batch = 1, .heads = 2, .key_heads = 1, .queries = 19, .keys = 70, .width = 5, .value_width = 6};

template <class T>
Forward<T> kernel_forward(Problem<T>& problem) {
  Forward<T> forward(problem);
  attention::attend(problem.input(), forward.view(), 1);
  return forward;
}

template <class T>
std::vector<T> kernel_weights(Problem<T>& problem) {
  std::vector<T> weights(problem.rows() * problem.shape.keys, T(-7));
  attention::attention_weights(problem.input(), 0, problem.shape.queries, weights.data(), 1);
  return weights;
}

template <class T>
class Extremes : public ::testing::Test {
 protected:
  // Random numbers, the same for every form.
  static Problem<T> problem(const reweighting::AttentionForm& form, double sharpness = 1.0) {
    RandomStream random(kSeed, 0);
    return random_problem<T>(form, kShape, random, Layout::kRowsFirst, 1, sharpness);
  }

  static void expect_agreement(Problem<T>& problem) {
    SCOPED_TRACE(described(problem));
    RandomStream random(kSeed, 1);
    const Upstream<T> upstream = random_upstream(problem, random);
    Judge<T> judge(problem, upstream);
    for_each_simd_target([&] {
      Everything<T> kernel = kernel_everything(problem, upstream, 1);
      judge.expect_agreement(kernel);
    });
  }

  // body(form) for every form on every instruction set.
  static void for_each_form_and_target(const std::function<void(const reweighting::AttentionForm&)>& body) {
    for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
      SCOPED_TRACE(form.name);
      for_each_simd_target([&] { body(form); });
    }
  }
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Extremes, Types);

TYPED_TEST(Extremes, ScoresOfTenThousandAgreeWithTheReference) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    Problem<TypeParam> problem = this->problem(form, 1e4);
    this->expect_agreement(problem);
  }
}

TYPED_TEST(Extremes, TinyScoresAgreeWithTheReference) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    if (form.normaliser == reweighting::Normaliser::kSum && reweighting::is_signed(form))
      continue;  // Σ z is all rounding
    Problem<TypeParam> problem = this->problem(form, 1e-4);
    this->expect_agreement(problem);
  }
}

TYPED_TEST(Extremes, OneOutlierAgreesWithTheReference) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    for (const std::int64_t place : {0, 33, 69}) {
      Problem<TypeParam> problem = this->problem(form);
      for (std::int64_t d = 0; d < kShape.width; ++d) problem.key.row(0, 0, place)[d] *= 1000;
      this->expect_agreement(problem);
    }
  }
}

TYPED_TEST(Extremes, EqualKeysTieAtTheFirstVisibleOne) {
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    Problem<TypeParam> problem = this->problem(form);
    for (std::int64_t j = 1; j < kShape.keys; ++j) {
      std::copy_n(problem.key.row(0, 0, 0), kShape.width, problem.key.row(0, 0, j));
    }
    problem.causal = true;
    problem.window = 9;
    const Forward<TypeParam> rows = kernel_forward(problem);
    for (std::int64_t i = 0; i < problem.rows(); ++i) {
      const std::int64_t last = i % kShape.queries + kShape.keys - kShape.queries;
      EXPECT_EQ(rows.argmax[i], last - 8) << "row " << i;
      EXPECT_EQ(rows.visible[i], 9) << "row " << i;
      EXPECT_EQ(rows.statistic("skewness")[i], 0) << "row " << i;
      EXPECT_NEAR(rows.statistic("logit_variance")[i], 0.0, 1e-10) << "row " << i;
    }
  });
}

TYPED_TEST(Extremes, AUniformSoftmaxHasTheEntropyOfItsKeys) {
  for (const double constant : {0.0, 1e4, -1e4}) {
    Problem<TypeParam> problem = this->problem(reweighting::find_attention_form("softmax"));
    problem.query.for_each([&](TypeParam& x) { x = static_cast<TypeParam>(constant); });
    problem.key.for_each([](TypeParam& x) { x = 1; });
    for_each_simd_target([&] {
      const Forward<TypeParam> rows = kernel_forward(problem);
      const double ulp = std::numeric_limits<TypeParam>::epsilon();
      for (std::int64_t i = 0; i < problem.rows(); ++i) {
        EXPECT_NEAR(rows.statistic("entropy")[i], std::log(70.0), 8 * ulp * std::log(70.0)) << constant;
        EXPECT_NEAR(rows.statistic("sum_of_squares")[i], 1.0 / 70, 8 * ulp / 70) << constant;
        EXPECT_EQ(rows.argmax[i], 0) << constant;
      }
    });
  }
}

// Entropy's slope along a score is -p (log p + H): far below what single precision holds, in double precision.
TEST(ExtremesInDoublePrecision, EntropyHasASlopeAlongAWeightOfTinySize) {
  RandomStream random(kSeed, 0);
  Problem<double> problem = random_problem<double>(reweighting::find_attention_form("softmax"), kShape, random);
  constexpr double kScore = -200.0;
  problem.scale = 1.0;
  problem.query.for_each([](double& x) { x = 1.0; });
  problem.key.for_each([](double& x) { x = 0.0; });
  problem.key.row(0, 0, 33)[0] = kScore;
  problem.d_output.for_each([](double& x) { x = 0.0; });
  Upstream<double> upstream;
  static_assert(kDifferentiable<double>[0].name == "entropy");
  upstream.arrays[0].assign(problem.rows(), 1.0);
  for_each_simd_target([&] {
    Everything<double> all = kernel_everything(problem, upstream, 1);
    const double expected = -kScore * std::exp(kScore) / 69.0 * static_cast<double>(problem.rows());
    EXPECT_NEAR(all.backward.key.row(0, 0, 33)[0] / expected, 1.0, 1e-10);
  });
}

// All a problem's keys and values behind its length, and all that a row does not see, may be anything.
TYPED_TEST(Extremes, WhatIsNotVisibleIsNeverFelt) {
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    Problem<TypeParam> clean = this->problem(form);
    clean.key_lengths = {50};
    Problem<TypeParam> padded = clean;
    for (std::int64_t j = 50; j < kShape.keys; ++j) {
      std::fill_n(padded.key.row(0, 0, j), kShape.width, std::numeric_limits<TypeParam>::quiet_NaN());
      std::fill_n(padded.value.row(0, 0, j), kShape.value_width, std::numeric_limits<TypeParam>::infinity());
    }
    RandomStream random(kSeed, 2);
    const Upstream<TypeParam> upstream = random_upstream(clean, random);
    Everything<TypeParam> expected = kernel_everything(clean, upstream, 1);
    Everything<TypeParam> found = kernel_everything(padded, upstream, 1);
    const auto expected_arrays = arrays(expected, form);
    const auto found_arrays = arrays(found, form);
    for (std::size_t n = 0; n < found_arrays.size(); ++n) {
      EXPECT_EQ(found_arrays[n].numbers, expected_arrays[n].numbers) << found_arrays[n].name;
    }
  });
}

// Rows of the second head's query 3, or all that see key 60, are lost; the others keep their bits.
template <class T>
void expect_lost(Problem<T>& clean, Problem<T>& broken,
                 const std::function<bool(std::int64_t h, std::int64_t i)>& lost) {
  Forward<T> expected = kernel_forward(clean);
  Forward<T> found = kernel_forward(broken);
  const std::vector<T> expected_weights = kernel_weights(clean), found_weights = kernel_weights(broken);
  EXPECT_EQ(found.visible, expected.visible);
  for (std::int64_t h = 0; h < kShape.heads; ++h) {
    for (std::int64_t i = 0; i < kShape.queries; ++i) {
      const std::int64_t row = h * kShape.queries + i;
      EXPECT_EQ(found.non_finite[row], lost(h, i) ? 1 : 0) << "head " << h << ", query " << i;
      EXPECT_EQ(found.argmax[row], lost(h, i) ? -1 : expected.argmax[row]) << "head " << h << ", query " << i;
      for (std::size_t n = 0; n < found.floating.size(); ++n) {
        if (found.floating[n].empty()) continue;
        const T x = found.floating[n][row];
        EXPECT_TRUE(lost(h, i) ? std::isnan(x) : x == expected.floating[n][row])
            << kStatistics<T>[n].name << ", head " << h << ", query " << i << ": " << x;
      }
      for (std::int64_t d = 0; d < kShape.value_width; ++d) {
        const T x = found.output.row(0, h, i)[d];
        EXPECT_TRUE(lost(h, i) ? std::isnan(x) : x == expected.output.row(0, h, i)[d])
            << "output, head " << h << ", query " << i << ": " << x;
      }
      for (std::int64_t j = 0; j < kShape.keys; ++j) {
        const T x = found_weights[row * kShape.keys + j];
        const bool seen = !clean.causal || j <= i + kShape.keys - kShape.queries;
        EXPECT_TRUE(lost(h, i) && seen ? std::isnan(x) : x == expected_weights[row * kShape.keys + j])
            << "weight, head " << h << ", query " << i << ", key " << j << ": " << x;
      }
    }
  }
}

TYPED_TEST(Extremes, ANaNOrAnInfinityIsFlaggedInItsRowsAndNowhereElse) {
  const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    for (const TypeParam bad : {std::numeric_limits<TypeParam>::quiet_NaN(), infinity, -infinity}) {
      SCOPED_TRACE(bad);
      if (form.feature != reweighting::FeatureMap::kNone && bad == -infinity) continue;  // whose φ is finite
      Problem<TypeParam> clean = this->problem(form);
      RandomStream random(kSeed, 3);
      add_bias(clean, random);
      clean.causal = true;
      Problem<TypeParam> query = clean;
      query.query.row(0, 1, 3)[2] = bad;
      expect_lost<TypeParam>(clean, query, [](std::int64_t h, std::int64_t i) { return h == 1 && i == 3; });
      Problem<TypeParam> key = clean;
      key.key.row(0, 0, 60)[4] = bad;
      expect_lost<TypeParam>(clean, key, [](std::int64_t, std::int64_t i) { return i + 51 >= 60; });
      if (bad == -infinity) continue;  // of a bias: hides its key
      Problem<TypeParam> bias = clean;
      bias.bias.row(0, 1, 3)[7] = bad;
      expect_lost<TypeParam>(clean, bias, [](std::int64_t h, std::int64_t i) { return h == 1 && i == 3; });
    }
  });
}

// Without a mask minus infinity is no hidden key, and a soft cap makes no score of an infinity.
TYPED_TEST(Extremes, AnInfiniteScoreIsFlaggedWhereNothingIsHidden) {
  const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    for (const TypeParam bad : {infinity, -infinity}) {
      SCOPED_TRACE(bad);
      if (form.feature != reweighting::FeatureMap::kNone) continue;
      Problem<TypeParam> clean = this->problem(form);
      clean.key.for_each([](TypeParam& x) { x = std::abs(x); });
      Problem<TypeParam> query = clean;
      query.query.row(0, 1, 3)[2] = bad;
      expect_lost<TypeParam>(clean, query, [](std::int64_t h, std::int64_t i) { return h == 1 && i == 3; });
    }
  });
}

TYPED_TEST(Extremes, ABiasOfMinusInfinityHidesItsKey) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    Problem<TypeParam> problem = this->problem(form);
    RandomStream random(kSeed, 4);
    add_bias(problem, random);
    for (std::int64_t i = 0; i < kShape.queries; ++i) {
      for (std::int64_t j = 0; j < kShape.keys; ++j) {
        const bool whole_row = i == 5;
        if (whole_row || random.below(3) == 0) {
          problem.bias.row(0, 1, i)[j] = -std::numeric_limits<TypeParam>::infinity();
        }
      }
    }
    this->expect_agreement(problem);
  }
}

TYPED_TEST(Extremes, GradientsOfALostRowAreNaNAndReachNoOtherQuery) {
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    Problem<TypeParam> problem = this->problem(form);
    problem.query.row(0, 1, 3)[2] = std::numeric_limits<TypeParam>::quiet_NaN();
    Everything<TypeParam> all = kernel_everything(problem, {}, 1);
    for (std::int64_t i = 0; i < kShape.queries; ++i) {
      for (std::int64_t d = 0; d < kShape.width; ++d) {
        EXPECT_TRUE(std::isfinite(all.backward.query.row(0, 0, i)[d])) << i;
        EXPECT_EQ(std::isnan(all.backward.query.row(0, 1, i)[d]), i == 3) << i;
      }
    }
  });
}

TYPED_TEST(Extremes, RowsWithoutVisibleKeysAreZeroForwardAndBackward) {
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    Problem<TypeParam> problem = this->problem(form);
    problem.key_lengths = {11};
    problem.causal = true;  // the first 8 of 19 queries stand before the first of 11 keys
    RandomStream random(kSeed, 4);
    const Upstream<TypeParam> upstream = random_upstream(problem, random);
    Everything<TypeParam> all = kernel_everything(problem, upstream, 1);
    for (std::int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(all.forward.visible[i], 0);
      EXPECT_EQ(all.forward.argmax[i], -1);
      EXPECT_EQ(all.forward.non_finite[i], 0);
      for (std::int64_t d = 0; d < kShape.value_width; ++d) EXPECT_EQ(all.forward.output.row(0, 0, i)[d], 0);
      for (std::int64_t d = 0; d < kShape.width; ++d) EXPECT_EQ(all.backward.query.row(0, 0, i)[d], 0);
      for (std::size_t n = 0; n < all.forward.floating.size(); ++n) {
        if (all.forward.floating[n].empty() || kStatistics<TypeParam>[n].name == "log_sum_exp") continue;
        EXPECT_EQ(all.forward.floating[n][i], 0) << kStatistics<TypeParam>[n].name;
      }
    }
    if (form.name == "softmax") {
      EXPECT_EQ(all.forward.statistic("log_sum_exp")[0], -std::numeric_limits<TypeParam>::infinity());
    }
    if (form.name == "sink") {
      EXPECT_EQ(all.forward.statistic("log_sum_exp")[0], problem.sink[0]);
    }
  });
}

}  // namespace
}  // namespace polariscope::testing
