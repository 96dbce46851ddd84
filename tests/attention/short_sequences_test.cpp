// Many short sequences, which have kernels of their own: a head a lane, a few rows at a time.
#include "agreement.h"
#include "support/simd_targets.h"

#include <cstring>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 87;

template <class T>
Forward<T> kernel_forward(Problem<T>& problem) {
  Forward<T> forward(problem);
  attention::attend(problem.input(), forward.view(), 1);
  return forward;
}

// Every tail of the rows and the keys that are taken at once, and of the vector of heads.
template <class T>
void expect_agreement_at_every_tail(std::string_view name) {
  for (std::int64_t n = 1; n <= 31; ++n) {
    RandomStream random(kSeed, n);
    const attention::AttentionShape shape{.batch = 16 + n,
                                          .queries = n,
                                          .keys = 1 + (n * 37) % 64,
                                          .width = 1 + (n * 5) % 17,
                                          .value_width = 1 + (n * 3) % 11};
    const Layout layout = n % 3 == 0 ? Layout::kRowsFirst : Layout::kHeadsFirst;
    Problem<T> problem = random_problem<T>(reweighting::find_attention_form(name), shape, random, layout, n % 2);
    problem.causal = n % 4 == 0;
    problem.bias_gradient = false;  // which takes short sequences off their path
    SCOPED_TRACE(fmt::format("seed {}, {}", kSeed, described(problem)));
    const Upstream<T> upstream = random_upstream(problem, random);
    Judge<T> judge(problem, upstream);
    for_each_simd_target([&] {
      Everything<T> kernel = kernel_everything(problem, upstream, 1 + static_cast<int>(n % 2));
      judge.expect_agreement(kernel);
    });
  }
}

TEST(ShortSequences, OfSoftmaxAgreeWithTheReferenceAtEveryTail) {
  expect_agreement_at_every_tail<float>("softmax");
  expect_agreement_at_every_tail<double>("softmax");
}
TEST(ShortSequences, OfTheSigmoidAgreeWithTheReferenceAtEveryTail) {
  expect_agreement_at_every_tail<float>("sigmoid/sum");
}
TEST(ShortSequences, OfTheLinearAttentionAgreeWithTheReferenceAtEveryTail) {
  expect_agreement_at_every_tail<float>("elu1_kernel/sum");
}

// The same bits whatever stands behind the lengths, forward and backward; widths that are whole vectors, and others.
TEST(ShortSequences, NeverFeelWhatIsBehindTheirLengths) {
  for (const std::int64_t width : {3, 32}) {
    for (const std::string_view name : {"softmax", "sigmoid/sum", "elu1_kernel/sum"}) {
      SCOPED_TRACE(fmt::format("{}, width {}", name, width));
      RandomStream random(kSeed, 64);
      const attention::AttentionShape shape{
          .batch = 19, .queries = 12, .keys = 14, .width = width, .value_width = width};
      Problem<float> clean = random_problem<float>(reweighting::find_attention_form(name), shape, random);
      clean.bias_gradient = false;
      add_lengths(clean, random);
      Problem<float> padded = clean;
      for (std::int64_t b = 0; b < shape.batch; ++b) {
        for (std::int64_t j = clean.key_lengths[b]; j < shape.keys; ++j) {
          std::fill_n(padded.key.row(b, 0, j), width, std::numeric_limits<float>::quiet_NaN());
          std::fill_n(padded.value.row(b, 0, j), width, std::numeric_limits<float>::infinity());
        }
      }
      const Upstream<float> upstream = random_upstream(clean, random);
      for_each_simd_target([&] {
        Everything<float> expected = kernel_everything(clean, upstream, 1);
        Everything<float> found = kernel_everything(padded, upstream, 1);
        const auto expected_arrays = arrays(expected, clean.form), found_arrays = arrays(found, clean.form);
        for (std::size_t n = 0; n < found_arrays.size(); ++n) {
          EXPECT_EQ(found_arrays[n].numbers, expected_arrays[n].numbers) << found_arrays[n].name;
        }
      });
    }
  }
}

template <class T>
class ShortRows : public ::testing::Test {
 protected:
  static constexpr attention::AttentionShape kShape{
      .batch = 21, .queries = 13, .keys = 22, .width = 3, .value_width = 3};

  static Problem<T> problem() {
    RandomStream random(kSeed, 0);
    return random_problem<T>(reweighting::find_attention_form("softmax"), kShape, random);
  }
};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ShortRows, Types);

TYPED_TEST(ShortRows, TieAtTheFirstOfEqualScores) {
  constexpr attention::AttentionShape shape = TestFixture::kShape;
  Problem<TypeParam> problem = this->problem();
  // Scores are the first number of a key, zeros of either sign among them.
  problem.query.for_each([](TypeParam& x) { x = 0; });
  problem.key.for_each([](TypeParam& x) { x = 0; });
  std::vector<std::int32_t> first(shape.batch);
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    first[b] = static_cast<std::int32_t>(b % shape.keys);
    for (std::int64_t i = 0; i < shape.queries; ++i) problem.query.row(b, 0, i)[0] = 1;
    for (std::int64_t j = 0; j < shape.keys; ++j) {
      problem.key.row(b, 0, j)[0] = j < first[b] ? TypeParam(-1) : TypeParam(j % 2 == 0 ? -0.0 : 0.0);
    }
  }
  for_each_simd_target([&] {
    const Forward<TypeParam> rows = kernel_forward(problem);
    for (std::int64_t row = 0; row < problem.rows(); ++row) {
      EXPECT_EQ(rows.argmax[row], first[row / shape.queries]) << "row " << row;
    }
  });
}

TYPED_TEST(ShortRows, BesideOneThatIsNotFiniteKeepTheirBits) {
  constexpr attention::AttentionShape shape = TestFixture::kShape;
  Problem<TypeParam> clean = this->problem(), spoilt = clean;
  constexpr std::int64_t kBatch = 17, kQuery = 5;
  spoilt.query.row(kBatch, 0, kQuery)[1] = std::numeric_limits<TypeParam>::infinity();
  for_each_simd_target([&] {
    const Forward<TypeParam> expected = kernel_forward(clean), found = kernel_forward(spoilt);
    for (std::int64_t row = 0; row < clean.rows(); ++row) {
      const bool lost = row == kBatch * shape.queries + kQuery;
      EXPECT_EQ(found.non_finite[row], lost ? 1 : 0) << "row " << row;
      EXPECT_EQ(found.visible[row], shape.keys) << "row " << row;
      EXPECT_EQ(found.argmax[row], lost ? -1 : expected.argmax[row]) << "row " << row;
      for (std::size_t n = 0; n < found.floating.size(); ++n) {
        const TypeParam was = expected.floating[n][row], is = found.floating[n][row];
        EXPECT_TRUE(lost ? std::isnan(is) : std::memcmp(&was, &is, sizeof is) == 0)
            << kStatistics<TypeParam>[n].name << ", row " << row;
      }
    }
  });
}

}  // namespace
}  // namespace polariscope::testing
