// Finite scores whose sum, or whose distance, is larger than the largest number: softmax as usual.
#include "agreement.h"
#include "polariscope/reweighting/growth.h"
#include "support/simd_targets.h"

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 93;

template <class T>
class Overflow : public ::testing::Test {
 protected:
  static constexpr T kMost = std::numeric_limits<T>::max();

  // body(form) for every form on every instruction set.
  static void for_each_form_and_target(const std::function<void(const reweighting::AttentionForm&)>& body) {
    for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
      SCOPED_TRACE(form.name);
      for_each_simd_target([&] { body(form); });
    }
  }

  // Whether weights of scores of -kMost are 0, or those of keys that are hidden.
  static bool falls_to_nothing(const reweighting::AttentionForm& form) {
    if (form.rule == reweighting::RowRule::kSoftpick || form.transform == reweighting::Transform::kSoftCap)
      return false;
    if (form.rule != reweighting::RowRule::kElementwise) return true;
    using reweighting::WeightFunction;
    return form.weight == WeightFunction::kExp || form.weight == WeightFunction::kSigmoid ||
           form.weight == WeightFunction::kRelu || form.weight == WeightFunction::kElu1;
  }

  static bool is_bounded(const reweighting::AttentionForm& form) { return reweighting::growth_of(form.weight) == 0; }

  static Problem<T> problem(const reweighting::AttentionForm& form, const attention::AttentionShape& shape) {
    RandomStream random(kSeed, stream_of(form));
    return random_problem<T>(form, shape, random);
  }
};

using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Overflow, Types);

constexpr attention::AttentionShape kShape{
    .batch = 1, .heads = 2, .key_heads = 1, .queries = 70, .keys = 70, .width = 5, .value_width = 6};

// As models write a causal mask: the least number above the diagonal. What it hides for good another mask hides too.
TYPED_TEST(Overflow, TheLeastNumberAsAMaskIsTheMask) {
  this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
    if (!this->falls_to_nothing(form)) return;
    Problem<TypeParam> masked = this->problem(form, kShape);
    masked.bias = Tensor<TypeParam>(1, 2, 70, 70);
    Problem<TypeParam> hidden = masked;
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = 0; i < 70; ++i) {
        for (std::int64_t j = 0; j < 70; ++j) {
          masked.bias.row(0, h, i)[j] = j > i ? -this->kMost : TypeParam(0);
          hidden.bias.row(0, h, i)[j] = j > i ? -std::numeric_limits<TypeParam>::infinity() : TypeParam(0);
        }
      }
    }
    if (form.transform == reweighting::Transform::kLogCount || form.normaliser == reweighting::Normaliser::kCount)
      return;  // which count the keys
    Everything<TypeParam> found = kernel_everything(masked, {}, 1), expected = kernel_everything(hidden, {}, 1);
    EXPECT_EQ(found.forward.non_finite, std::vector<std::uint8_t>(140, 0));
    EXPECT_EQ(found.forward.argmax, expected.forward.argmax);
    const auto found_arrays = arrays(found, form), expected_arrays = arrays(expected, form);
    for (std::size_t n = 0; n < found_arrays.size(); ++n) {
      const std::string_view name = found_arrays[n].name;
      // Of all the keys, the least numbers among them.
      if (name.starts_with("logit_") || name == "skewness" || name == "columns") continue;
      for (std::size_t i = 0; i < found_arrays[n].numbers.size(); ++i) {
        const double is = found_arrays[n].numbers[i], should_be = expected_arrays[n].numbers[i];
        ASSERT_NEAR(is, should_be, 1e-6 * (1 + std::abs(should_be))) << name << " " << i;
      }
    }
  });
}

// Rows of nothing but large negative scores, all the same, on every path: blocks, tiles and many short sequences.
TYPED_TEST(Overflow, ManyEqualScoresOfLargeSizeAreAUniformRow) {
  for (const attention::AttentionShape& shape :
       {attention::AttentionShape{.queries = 3, .keys = 4096, .width = 2, .value_width = 3},
        attention::AttentionShape{.queries = 3, .keys = 60, .width = 2, .value_width = 3},
        attention::AttentionShape{.batch = 40, .queries = 3, .keys = 60, .width = 2, .value_width = 3}}) {
    for (const double part : {1.0, 0.03}) {
      for (const double sign : {-1.0, 1.0}) {
        this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
          const bool projects =
              form.rule == reweighting::RowRule::kSparsemax || form.rule == reweighting::RowRule::kEntmax;
          if (form.name != "softmax" && form.name != "ssmax" && !projects) return;
          Problem<TypeParam> problem = this->problem(form, shape);
          problem.scale = 1.0;
          problem.query.for_each([&](TypeParam& x) { x = static_cast<TypeParam>(sign * part / 2) * this->kMost; });
          problem.key.for_each([](TypeParam& x) { x = 1; });
          Everything<TypeParam> found = kernel_everything(problem, {}, 1);
          const auto n = static_cast<double>(shape.keys);
          for (std::int64_t i = 0; i < problem.rows(); ++i) {
            ASSERT_EQ(found.forward.non_finite[i], 0);
            ASSERT_NEAR(found.forward.statistic("maximum")[i] * n, 1.0, 1e-3);
            ASSERT_NEAR(found.forward.statistic("entropy")[i], std::log(n), 1e-3);
            ASSERT_EQ(found.forward.argmax[i], 0);
            TypeParam mean = 0;
            for (std::int64_t j = 0; j < shape.keys; ++j) mean += problem.value.row(i / 3, 0, j)[0];
            ASSERT_NEAR(found.forward.output.row(i / 3, 0, i % 3)[0], mean / n, 1e-5);
          }
          for (const TypeParam x : found.backward.value.packed()) ASSERT_TRUE(std::isfinite(x));
          for (const TypeParam x : found.backward.query.packed()) ASSERT_TRUE(std::isfinite(x));
        });
      }
    }
  }
}

// Scores that lie further apart than the largest number: one takes all.
TYPED_TEST(Overflow, ScoresFurtherApartThanTheLargestNumberAreOneHot) {
  for (const std::int64_t batch : {1, 40}) {
    this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
      if (form.weight != reweighting::WeightFunction::kExp || form.transform == reweighting::Transform::kSoftCap)
        return;
      if (form.rule == reweighting::RowRule::kSoftpick) return;
      constexpr std::int64_t kLargest = 64;  // of the second tile
      const std::int64_t keys = batch == 1 ? 130 : 60, largest = batch == 1 ? kLargest : 30;
      Problem<TypeParam> problem =
          this->problem(form, {.batch = batch, .queries = 2, .keys = keys, .width = 1, .value_width = 2});
      problem.scale = 1.0;
      problem.query.for_each([&](TypeParam& x) { x = this->kMost; });
      problem.key.for_each([](TypeParam& x) { x = -1; });
      for (std::int64_t b = 0; b < batch; ++b) problem.key.row(b, 0, largest)[0] = 1;
      RandomStream random(kSeed, 1);
      Upstream<TypeParam> upstream;
      for (std::size_t n = 0; n < 4; ++n) upstream.draw(n, problem, random);  // of p, not of the logits
      Everything<TypeParam> found = kernel_everything(problem, upstream, 1);
      for (std::int64_t i = 0; i < problem.rows(); ++i) {
        ASSERT_EQ(found.forward.non_finite[i], 0);
        ASSERT_EQ(found.forward.statistic("maximum")[i], 1);
        ASSERT_EQ(found.forward.argmax[i], largest);
        ASSERT_NEAR(found.forward.statistic("entropy")[i], 0.0, 1e-6);
        ASSERT_NEAR(found.forward.statistic("sum_of_squares")[i], 1.0, 1e-6);
        ASSERT_EQ(found.forward.output.row(i / 2, 0, i % 2)[1], problem.value.row(i / 2, 0, largest)[1]);
      }
      for (const TypeParam x : found.backward.value.packed()) ASSERT_TRUE(std::isfinite(x));
      for (const TypeParam x : found.backward.query.packed()) ASSERT_NEAR(x, 0.0, 1e-5);
    });
  }
}

// relu, elu + 1, z, |z| and z² of scores so large that their sum, or the sum of their squares, overflows.
TYPED_TEST(Overflow, WeightsWithoutBoundAreNormalisedAsUsual) {
  constexpr double kAllowed = 1e-5;
  for (const double part : {0.01, 1e-17}) {
    for (const std::int64_t batch : {1, 40}) {
      this->for_each_form_and_target([&](const reweighting::AttentionForm& form) {
        if (form.rule != reweighting::RowRule::kElementwise || form.feature != reweighting::FeatureMap::kNone) return;
        if (form.normaliser == reweighting::Normaliser::kNone || this->is_bounded(form)) return;
        Problem<TypeParam> problem =
            this->problem(form, {.batch = batch, .queries = 3, .keys = 60, .width = 1, .value_width = 2});
        if (batch == 1) problem.bias_gradient = false;
        problem.scale = 1.0;
        // Every other query has small scores beside.
        for (std::int64_t b = 0; b < batch; ++b) {
          for (const std::int64_t i : {0, 2}) problem.query.row(b, 0, i)[0] = std::sqrt(this->kMost);
        }
        problem.key.for_each(
            [&](TypeParam& x) { x = std::abs(x) * std::sqrt(this->kMost) * static_cast<TypeParam>(part); });
        Problem<long double> wide = problem.template as<long double>();
        Everything<TypeParam> found = kernel_everything(problem, {}, 1), naive = oracle_everything(problem, {});
        Everything<long double> expected = oracle_everything(wide, {});
        EXPECT_EQ(found.forward.non_finite, expected.forward.non_finite);
        EXPECT_EQ(found.forward.argmax, expected.forward.argmax);
        const auto expected_arrays = arrays(expected, form);
        for (Everything<TypeParam>* one : {&found, &naive}) {
          const auto found_arrays = arrays(*one, form);
          for (std::size_t n = 0; n < expected_arrays.size(); ++n) {
            const std::string_view name = expected_arrays[n].name;
            const long double largest = largest_size(expected_arrays[n].numbers);
            if (largest > static_cast<long double>(this->kMost)) continue;
            if (name.starts_with("logit_") || name == "row_sum" || name == "skewness") continue;
            if (name == "d_key" || name == "d_query" || name == "d_bias") continue;  // of the size of 1/Σw: 0
            for (std::size_t i = 0; i < expected_arrays[n].numbers.size(); ++i) {
              ASSERT_NEAR(static_cast<double>(found_arrays[n].numbers[i] / (1 + largest)),
                          static_cast<double>(expected_arrays[n].numbers[i] / (1 + largest)), kAllowed)
                  << name << " " << i << (one == &naive ? ", the reference" : "");
            }
          }
          for (const TypeParam x : one->backward.query.packed()) ASSERT_TRUE(std::isfinite(x));
          for (const TypeParam x : one->backward.key.packed()) ASSERT_TRUE(std::isfinite(x));
        }
      });
    }
  }
}

// The reference too.
TYPED_TEST(Overflow, TheReferenceSeesNothingWrongInFiniteScores) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    SCOPED_TRACE(form.name);
    if (!this->falls_to_nothing(form)) continue;
    Problem<TypeParam> problem = this->problem(form, kShape);
    problem.bias = Tensor<TypeParam>(1, 2, 70, 70);
    problem.bias.for_each([&, n = 0](TypeParam& x) mutable { x = n++ % 3 == 0 ? TypeParam(0) : -this->kMost; });
    Everything<TypeParam> found = oracle_everything(problem, {});
    EXPECT_EQ(found.forward.non_finite, std::vector<std::uint8_t>(140, 0));
    for (const TypeParam x : found.forward.output.packed()) EXPECT_TRUE(std::isfinite(x));
    for (const TypeParam x : found.backward.query.packed()) EXPECT_TRUE(std::isfinite(x));
    for (const TypeParam x : found.backward.key.packed()) EXPECT_TRUE(std::isfinite(x));
  }
}

}  // namespace
}  // namespace polariscope::testing
