// The first key that a row sees, where masks of every kind hide the first of all.
#include "agreement.h"
#include "support/simd_targets.h"

#include <limits>
#include <vector>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 91;

// Left padding: of sequence b the first 3b keys are hidden by the bias, and some others.
template <class T>
Problem<T> padded(const reweighting::AttentionForm& form, bool causal, std::int64_t window) {
  RandomStream random(kSeed, stream_of(form));
  const attention::AttentionShape shape{
      .batch = 3, .heads = 2, .key_heads = 1, .queries = 53, .keys = 61, .width = 9, .value_width = 5};
  Problem<T> problem = random_problem<T>(form, shape, random);
  problem.causal = causal;
  problem.window = window;
  add_bias(problem, random);
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.queries; ++i) {
        T* bias = problem.bias.row(b, h, i);
        for (std::int64_t j = 0; j < shape.keys; ++j) {
          if (j < 3 * b || random.bits() % 5 == 0) bias[j] = -std::numeric_limits<T>::infinity();
        }
      }
    }
  }
  return problem;
}

template <class T>
void expect_agreement(Problem<T>& problem) {
  RandomStream random(kSeed, 7);
  SCOPED_TRACE(described(problem));
  const Upstream<T> upstream = random_upstream(problem, random);
  Judge<T> judge(problem, upstream);
  for_each_simd_target([&] {
    Everything<T> kernel = kernel_everything(problem, upstream, 1);
    judge.expect_agreement(kernel);
  });
}

class FirstVisibleKey : public ::testing::TestWithParam<reweighting::AttentionForm> {};

TEST_P(FirstVisibleKey, AgreesWithTheReferenceUnderPadding) {
  Problem<float> causal = padded<float>(GetParam(), true, 0), windowed = padded<float>(GetParam(), true, 11);
  Problem<double> all = padded<double>(GetParam(), false, 0);
  expect_agreement(causal);
  expect_agreement(windowed);
  expect_agreement(all);
}

// Its gradient must reach one key and no other, whatever stands beside it.
TEST_P(FirstVisibleKey, AloneHasTheReferencesGradient) {
  Problem<double> problem = padded<double>(GetParam(), true, 0);
  RandomStream random(kSeed, 8);
  Upstream<double> upstream;
  upstream.draw(kDifferentiable<double>.size() - 1, problem, random);
  problem.d_output.for_each([](double& x) { x = 0; });
  Judge<double> judge(problem, upstream);
  for_each_simd_target([&] {
    Everything<double> kernel = kernel_everything(problem, upstream, 2);
    judge.expect_agreement(kernel);
  });
}

INSTANTIATE_TEST_SUITE_P(Family, FirstVisibleKey,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

TEST(FirstVisibleKeys, IsTheFirstKeyToTheBitWhereThatIsSeen) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    for (const std::int64_t batch : {1, 40}) {
      RandomStream random(kSeed, stream_of(form));
      const attention::AttentionShape shape{
          .batch = batch, .heads = 1, .key_heads = 1, .queries = 20, .keys = 20, .width = 4, .value_width = 4};
      Problem<float> problem = random_problem<float>(form, shape, random);
      problem.causal = true;
      Forward<float> forward(problem);
      attention::attend(problem.input(), forward.view(), 1);
      EXPECT_EQ(forward.statistic("first_visible_key"), forward.statistic("first_key")) << form.name << ' ' << batch;
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
