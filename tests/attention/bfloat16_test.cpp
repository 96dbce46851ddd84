// Products of bfloat16, against the reference in double precision over the same numbers: where the processor has them
// scores lose nothing, and weights are rounded where they multiply values alone.
#include "polariscope/attention/internal/bfloat16.h"

#include "polariscope/attention/internal/kernels.h"
#include "polariscope/reweighting/simd_target.h"
#include "results.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>

namespace polariscope::testing {
namespace {

using attention::AttentionShape;
using reweighting::attention_forms;
using reweighting::AttentionForm;

constexpr std::uint64_t kSeed = 1816;

void round_numbers(Tensor<float>& tensor) {
  tensor.for_each([](float& x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    x = std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000U);
  });
}

Problem<float> rounded_problem(const AttentionForm& form, const AttentionShape& shape, RandomStream& random,
                               double sharpness = 1.0) {
  auto problem = random_problem<float>(form, shape, random, Layout::kRowsFirst, 3, sharpness);
  round_numbers(problem.query);
  round_numbers(problem.key);
  round_numbers(problem.value);
  return problem;
}

Forward<float> attended(Problem<float>& problem, int threads = 1) {
  Forward<float> forward(problem);
  attention::AttentionInput<float> input = problem.input();
  input.bfloat16 = true;
  attention::attend(input, forward.view(), threads);
  return forward;
}

// Of each row: Σ_j |p_j|·|v_j| bounds what rounding of weights may move.
void expect_agreement(Problem<float>& problem, const std::string& what) {
  SCOPED_TRACE(what);
  Forward<float> found = attended(problem);
  Problem<double> exact = problem.as<double>();
  Forward<double> wanted = oracle_forward(exact);
  Problem<double> sizes = exact;
  sizes.value.for_each([](double& x) { x = std::abs(x); });
  const std::vector<double> p = oracle_p(exact);
  const AttentionShape& shape = problem.shape;
  double worst = 0.0;
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.queries; ++i) {
        const double* row = p.data() + ((b * shape.heads + h) * shape.queries + i) * shape.keys;
        for (std::int64_t c = 0; c < shape.value_width; ++c) {
          double bound = 1e-6;
          for (std::int64_t j = 0; j < shape.keys; ++j) {
            bound += std::abs(row[j]) * sizes.value.row(b, h / (shape.heads / shape.key_heads), j)[c];
          }
          worst = std::max(worst, std::abs(found.output.row(b, h, i)[c] - wanted.output.row(b, h, i)[c]) / bound);
        }
      }
    }
  }
  EXPECT_LE(worst, 0x1p-8);  // half a unit of a number of 8 bits
  EXPECT_TRUE(found.output.gaps_are_untouched());
  for (const auto& [name, member] : kStatistics<float>) {
    const std::vector<float>& ours = found.statistic(name);
    const std::vector<double>& right = wanted.statistic(name);
    for (std::size_t r = 0; r < ours.size(); ++r) {
      if (ours[r] == right[r]) continue;  // of rows that see nothing, infinities
      // Skewness divides by a variance that may be next to nothing.
      const double tolerance = name == "skewness" ? 1e-3 : 3e-5;
      ASSERT_NEAR(ours[r], right[r], tolerance * (1.0 + std::abs(right[r]))) << name << " of row " << r;
    }
  }
  EXPECT_EQ(found.argmax, wanted.argmax);
  EXPECT_EQ(found.visible, wanted.visible);
}

class Bfloat16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!attention::has_bfloat16_kernel()) GTEST_SKIP() << "this processor has no products of bfloat16";
  }
};

TEST_F(Bfloat16, AgreesWithTheReferenceOverRandomShapes) {
  RandomStream random(kSeed, 1);
  const auto draw = [&](std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random.below(most - least + 1));
  };
  for (int trial = 0; trial < 40; ++trial) {
    const std::int64_t key_heads = draw(1, 2), keys = draw(65, 300);
    const AttentionShape shape{.batch = draw(1, 2),
                               .heads = key_heads * draw(1, 3),
                               .key_heads = key_heads,
                               .queries = draw(1, 150),
                               .keys = keys,
                               .width = draw(1, 70),
                               .value_width = draw(1, 70)};
    auto problem = rounded_problem(reweighting::find_attention_form("softmax"), shape, random, 2.0);
    problem.causal = trial % 2 == 1;
    if (trial % 3 == 1) problem.window = draw(1, keys);
    if (trial % 4 == 2) add_lengths(problem, random);
    if (trial % 5 == 3) add_slopes(problem);
    if (trial % 7 == 4) add_bias(problem, random);
    expect_agreement(problem, "trial " + std::to_string(trial));
  }
}

TEST_F(Bfloat16, ServesEveryFormOrLeavesItAsItWas) {
  for (const AttentionForm& form : attention_forms()) {
    RandomStream random(kSeed, stream_of(form));
    const AttentionShape shape{.heads = 2, .key_heads = 2, .queries = 70, .keys = 131, .width = 33, .value_width = 17};
    auto problem = rounded_problem(form, shape, random);
    problem.causal = true;
    attention::AttentionInput<float> input = problem.input();
    input.bfloat16 = true;
    const bool taken = attention::takes_bfloat16(input);
    EXPECT_EQ(taken, form.feature == reweighting::FeatureMap::kNone && form.rule == reweighting::RowRule::kElementwise)
        << form.name;
    Forward<float> found = attended(problem);
    Forward<float> without(problem);
    attention::attend(problem.input(), without.view(), 1);
    if (!taken) {
      EXPECT_EQ(found.output.packed(), without.output.packed()) << form.name;
      continue;
    }
    // Signed weights, whose sums cancel, are compared by their sizes.
    const std::vector<float> a = found.output.packed(), b = without.output.packed();
    double largest = 0.0, apart = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      largest = std::max<double>(largest, std::abs(b[i]));
      apart = std::max<double>(apart, std::abs(a[i] - b[i]));
    }
    EXPECT_LE(apart, 0.02 * largest) << form.name;
    // It was really taken: no weight but 1 is left as it is.
    EXPECT_EQ(apart > 0.0, form.weight != reweighting::WeightFunction::kOne) << form.name;
  }
}

TEST_F(Bfloat16, HasTheSameBitsForAnyNumberOfThreads) {
  RandomStream random(kSeed, 3);
  const AttentionShape shape{
      .batch = 2, .heads = 3, .key_heads = 1, .queries = 200, .keys = 333, .width = 40, .value_width = 24};
  auto problem = rounded_problem(reweighting::find_attention_form("softmax"), shape, random);
  const Forward<float> one = attended(problem, 1);
  for (const int threads : {2, 5}) {
    Forward<float> more = attended(problem, threads);
    EXPECT_EQ(more.output.numbers.size(), one.output.numbers.size());
    Forward<float> copy = one;
    EXPECT_EQ(more.output.packed(), copy.output.packed());
    EXPECT_EQ(more.floating, one.floating);
  }
}

TEST_F(Bfloat16, NeverFeelsWhatARowDoesNotSee) {
  RandomStream random(kSeed, 4);
  const AttentionShape shape{.queries = 100, .keys = 100, .width = 16, .value_width = 16};
  auto problem = rounded_problem(reweighting::find_attention_form("softmax"), shape, random);
  problem.causal = true;
  Forward<float> clean = attended(problem);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto spoilt = problem;
    spoilt.value.row(0, 0, 70)[3] = bad;
    spoilt.key.row(0, 0, 70)[2] = bad;
    Forward<float> found = attended(spoilt);
    for (std::int64_t i = 0; i < 100; ++i) {
      EXPECT_EQ(found.non_finite[i] != 0, i >= 70) << i;
      if (i >= 70) continue;
      // Of tiles without it to the bit; that with it multiplies in single precision.
      const double tolerance = i < 64 ? 0.0 : 0.05;
      EXPECT_NEAR(found.output.row(0, 0, i)[3], clean.output.row(0, 0, i)[3], tolerance) << i;
    }
  }
}

TEST_F(Bfloat16, IsNotTakenWhereOtherVectorsAreForced) {
  RandomStream random(kSeed, 5);
  const AttentionShape shape{.queries = 80, .keys = 80, .width = 16, .value_width = 16};
  auto problem = rounded_problem(reweighting::find_attention_form("softmax"), shape, random);
  reweighting::use_simd_target("AVX2");
  Forward<float> flagged = attended(problem);
  Forward<float> plain(problem);
  attention::attend(problem.input(), plain.view(), 1);
  reweighting::use_simd_target("");
  EXPECT_EQ(flagged.output.packed(), plain.output.packed());
}

}  // namespace
}  // namespace polariscope::testing
