// Attention of kernels in linear time, where numbers are not finite, not seen, or too large.
#include "linear_results.h"

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 114;
constexpr attention::AttentionShape kShape{
    .batch = 1, .heads = 2, .key_heads = 1, .queries = 150, .keys = 200, .width = 5, .value_width = 6};

template <class T>
class LinearTimeExtremes : public ::testing::Test {
 protected:
  static Problem<T> problem(bool causal) {
    RandomStream random(kSeed, 1);
    Problem<T> problem =
        random_problem<T>(reweighting::find_attention_form("elu1_kernel/sum"), kShape, random, Layout::kRowsFirst, 1);
    problem.causal = causal;
    return problem;
  }
  static Everything<T> run(Problem<T>& problem) {
    RandomStream random(kSeed, 2);
    const Upstream<T> upstream = linear_upstream(problem, random);
    return linear_everything(problem, upstream, 1);
  }

  // Rows that `lost` names are NaN and flagged, the others keep their bits; so with the gradients of queries.
  static void expect_lost(Problem<T>& clean, Problem<T>& broken,
                          const std::function<bool(std::int64_t h, std::int64_t i)>& lost) {
    Everything<T> expected = run(clean), found = run(broken);
    EXPECT_EQ(found.forward.visible, expected.forward.visible);
    for (std::int64_t h = 0; h < kShape.heads; ++h) {
      for (std::int64_t i = 0; i < kShape.queries; ++i) {
        SCOPED_TRACE(fmt::format("head {}, query {}", h, i));
        const std::int64_t row = h * kShape.queries + i;
        EXPECT_EQ(found.forward.non_finite[row], lost(h, i) ? 1 : 0);
        const auto expect_row = [&](T x, T as) { EXPECT_TRUE(lost(h, i) ? std::isnan(x) : x == as) << x; };
        for (const char* name : {"sum_of_squares", "first_key", "first_visible_key", "row_sum", "logit_mean"}) {
          expect_row(found.forward.statistic(name)[row], expected.forward.statistic(name)[row]);
        }
        for (std::int64_t d = 0; d < kShape.value_width; ++d) {
          expect_row(found.forward.output.row(0, h, i)[d], expected.forward.output.row(0, h, i)[d]);
        }
        for (std::int64_t d = 0; d < kShape.width; ++d) {
          expect_row(found.backward.query.row(0, h, i)[d], expected.backward.query.row(0, h, i)[d]);
        }
      }
    }
    // Keys that some lost row sees lose their gradient.
    for (std::int64_t j = 0; j < kShape.keys; ++j) {
      bool seen_by_lost = false;
      for (std::int64_t row = 0; row < clean.rows(); ++row) {
        const std::int64_t i = row % kShape.queries;
        const bool sees = !clean.causal || j <= i + kShape.keys - kShape.queries;
        seen_by_lost = seen_by_lost || (sees && lost(row / kShape.queries, i));
      }
      const T x = found.backward.key.row(0, 0, j)[0];
      EXPECT_TRUE(seen_by_lost ? std::isnan(x) : x == expected.backward.key.row(0, 0, j)[0]) << "key " << j;
    }
  }
};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(LinearTimeExtremes, Types);

TYPED_TEST(LinearTimeExtremes, ANaNOrAnInfinityIsFlaggedInItsRowsAndNowhereElse) {
  for_each_simd_target([&] {
    for (const TypeParam bad :
         {std::numeric_limits<TypeParam>::quiet_NaN(), std::numeric_limits<TypeParam>::infinity()}) {
      for (const bool causal : {false, true}) {
        SCOPED_TRACE(fmt::format("{}{}", bad, causal ? ", causal" : ""));
        Problem<TypeParam> clean = this->problem(causal);
        Problem<TypeParam> query = clean;
        query.query.row(0, 1, 77)[2] = bad;
        this->expect_lost(clean, query, [](std::int64_t h, std::int64_t i) { return h == 1 && i == 77; });
        Problem<TypeParam> key = clean;
        key.key.row(0, 0, 160)[4] = bad;
        this->expect_lost(clean, key, [&](std::int64_t, std::int64_t i) { return !causal || i + 50 >= 160; });
      }
    }
  });
}

// A value is none of the scores: it spoils one number of the outputs of those who see it.
TYPED_TEST(LinearTimeExtremes, AValueThatIsNotFiniteReachesTheRowsThatSeeItAlone) {
  for_each_simd_target([&] {
    Problem<TypeParam> clean = this->problem(true);
    Problem<TypeParam> broken = clean;
    broken.value.row(0, 0, 160)[3] = std::numeric_limits<TypeParam>::quiet_NaN();
    Forward<TypeParam> expected(clean), found(broken);
    ASSERT_TRUE(attention::attend_linear(clean.input(), linear_view(expected), 1));
    ASSERT_TRUE(attention::attend_linear(broken.input(), linear_view(found), 1));
    EXPECT_EQ(found.non_finite, expected.non_finite);
    for (std::int64_t i = 0; i < kShape.queries; ++i) {
      for (std::int64_t d = 0; d < kShape.value_width; ++d) {
        const TypeParam x = found.output.row(0, 1, i)[d];
        EXPECT_TRUE(d == 3 && i + 50 >= 160 ? std::isnan(x) : x == expected.output.row(0, 1, i)[d]) << i;
      }
    }
  });
}

TYPED_TEST(LinearTimeExtremes, WhatIsNotVisibleIsNeverFelt) {
  for_each_simd_target([&] {
    for (const bool causal : {false, true}) {
      Problem<TypeParam> clean = this->problem(causal);
      clean.key_lengths = {100};  // under a causal mask the first 50 queries see nothing
      Problem<TypeParam> padded = clean;
      for (std::int64_t j = 100; j < kShape.keys; ++j) {
        std::fill_n(padded.key.row(0, 0, j), kShape.width, std::numeric_limits<TypeParam>::quiet_NaN());
        std::fill_n(padded.value.row(0, 0, j), kShape.value_width, std::numeric_limits<TypeParam>::infinity());
      }
      if (causal) std::fill_n(padded.query.row(0, 1, 49), kShape.width, std::numeric_limits<TypeParam>::quiet_NaN());
      Everything<TypeParam> expected = this->run(clean), found = this->run(padded);
      EXPECT_TRUE(same_bits(found.forward.output.packed(), expected.forward.output.packed()));
      EXPECT_TRUE(same_bits(found.backward.query.packed(), expected.backward.query.packed()));
      EXPECT_TRUE(same_bits(found.backward.key.packed(), expected.backward.key.packed()));
      EXPECT_TRUE(same_bits(found.backward.value.packed(), expected.backward.value.packed()));
      EXPECT_EQ(found.forward.non_finite, expected.forward.non_finite);
      EXPECT_EQ(found.backward.key.row(0, 0, 150)[0], 0);
      EXPECT_TRUE(!causal || found.forward.output.row(0, 1, 49)[0] == 0);
    }
  });
}

// Sums over features may overflow where no weight does: attend() takes all pairs then.
TYPED_TEST(LinearTimeExtremes, SumsThatOverflowAreLeftToAllPairs) {
  Problem<TypeParam> problem = this->problem(false);
  const TypeParam large = std::sqrt(std::numeric_limits<TypeParam>::max());
  problem.key.for_each([&](TypeParam& x) { x = large * (2 + std::abs(x)); });
  problem.query.for_each([&](TypeParam& x) { x = -std::log(large); });
  for_each_simd_target([&] {
    Forward<TypeParam> linear(problem), pairs(problem);
    EXPECT_FALSE(attention::attend_linear(problem.input(), linear_view(linear), 1));
    attention::attend(problem.input(), linear_view(pairs), 1);
    for (const TypeParam squares : pairs.statistic("sum_of_squares")) {
      EXPECT_GE(squares, TypeParam(0.99) / kShape.keys);
      EXPECT_LT(squares, TypeParam(0.1));
    }
  });
}

}  // namespace
}  // namespace polariscope::testing
