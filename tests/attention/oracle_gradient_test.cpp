// The reference's gradients against central differences of the reference, for every form of the family.
#include "results.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>

namespace polariscope::testing {
namespace {

constexpr std::uint64_t kSeed = 71;

using Real = long double;  // whose rounding of 5e-20 leaves the differences ten digits

// Σ dO·O + Σ upstream·statistics
Real loss(Problem<Real>& problem, const Upstream<Real>& upstream) {
  Forward<Real> forward = oracle_forward(problem);
  const std::vector<Real> output = forward.output.packed();
  const std::vector<Real> d_output = problem.d_output.packed();
  Real sum = 0;
  for (std::size_t n = 0; n < output.size(); ++n) sum += output[n] * d_output[n];
  for (std::size_t n = 0; n < upstream.arrays.size(); ++n) {
    for (std::size_t row = 0; row < upstream.arrays[n].size(); ++row) {
      const Real statistic = forward.statistic(kDifferentiable<Real>[n].name)[row];
      if (std::isfinite(statistic)) sum += upstream.arrays[n][row] * statistic;  // log_sum_exp of no keys is -inf
    }
  }
  return sum;
}

// Of order 4: the entropy bends sharply where a weight is small.
template <class Number>
Real difference(Problem<Real>& problem, const Upstream<Real>& upstream, Number& x) {
  constexpr Number kStep = 0x1p-20;  // truncation 1e-25 times the fifth derivative, rounding 1e-13
  const Number before = x;
  const auto across = [&](Number step) {
    x = before + step;
    const Real ahead = loss(problem, upstream);
    x = before - step;
    const Real behind = loss(problem, upstream);
    x = before;
    return (ahead - behind) / (2 * step);
  };
  return (4 * across(kStep) - across(2 * kStep)) / 3;
}

void expect_slopes(std::string_view what, Problem<Real>& problem, const Upstream<Real>& upstream,
                   const std::vector<Real*>& inputs, const std::vector<double>& gradients) {
  ASSERT_EQ(inputs.size(), gradients.size());
  for (std::size_t n = 0; n < inputs.size(); ++n) {
    const auto expected = static_cast<double>(difference(problem, upstream, *inputs[n]));
    EXPECT_NEAR(gradients[n], expected, 1e-9 * (1.0 + std::abs(expected))) << what << " " << n;
  }
}

std::vector<Real*> places(Tensor<Real>& tensor) {
  std::vector<Real*> all;
  tensor.for_each([&](Real& x) { all.push_back(&x); });
  return all;
}

void expect_gradients_are_slopes(Problem<double>& problem, const Upstream<double>& upstream) {
  Backward<double> gradient = oracle_backward(problem, upstream);
  Problem<Real> precise = problem.as<Real>();
  const Upstream<Real> weights = upstream.as<Real>();
  expect_slopes("query", precise, weights, places(precise.query), gradient.query.packed());
  expect_slopes("key", precise, weights, places(precise.key), gradient.key.packed());
  expect_slopes("value", precise, weights, places(precise.value), gradient.value.packed());
  if (!precise.bias.empty()) {
    expect_slopes("bias", precise, weights, places(precise.bias), gradient.bias.packed());
  }
  if (!precise.sink.empty()) {
    std::vector<Real*> sinks;
    for (Real& x : precise.sink) sinks.push_back(&x);
    expect_slopes("sink", precise, weights, sinks, gradient.sink);
  }
  for (std::size_t n = 0; n < gradient.parameters.size(); ++n) {
    const std::vector<double>& heads = gradient.parameters[n];
    const auto expected =
        static_cast<double>(difference(precise, weights, precise.form.*kParameters<Real>[n].parameter));
    EXPECT_NEAR(std::accumulate(heads.begin(), heads.end(), 0.0), expected, 1e-9 * (1.0 + std::abs(expected)))
        << kParameters<Real>[n].name;
  }
}

class GradientOfForm : public ::testing::TestWithParam<reweighting::AttentionForm> {
 protected:
  GradientOfForm() : random_(kSeed, stream_of(GetParam())) {}

  // Two query heads share a key head; scores of size 1.5, so that clips and supports are met.
  Problem<double> problem() {
    const attention::AttentionShape shape{
        .batch = 1, .heads = 2, .key_heads = 1, .queries = 3, .keys = 5, .width = 3, .value_width = 2};
    Problem<double> drawn = random_problem<double>(GetParam(), shape, random_, Layout::kRowsFirst, 1, 1.5);
    add_bias(drawn, random_);
    return drawn;
  }

  RandomStream random_;
};

TEST_P(GradientOfForm, OfTheOutputIsItsSlope) {
  Problem<double> full = problem();
  expect_gradients_are_slopes(full, {});
}

TEST_P(GradientOfForm, OfEachStatisticAloneIsItsSlope) {
  for (std::size_t n = 0; n < kDifferentiable<double>.size(); ++n) {
    SCOPED_TRACE(kDifferentiable<double>[n].name);
    Problem<double> full = problem();
    full.d_output.for_each([](double& x) { x = 0.0; });
    Upstream<double> upstream;
    upstream.draw(n, full, random_);
    expect_gradients_are_slopes(full, upstream);
  }
}

TEST_P(GradientOfForm, OfAllTogetherUnderEveryMaskIsTheSlope) {
  for (const bool causal : {false, true}) {
    for (const std::int64_t window : {0, 2}) {
      for (const std::int64_t length : {5, 2, 0}) {
        SCOPED_TRACE(fmt::format("causal {}, window {}, length {}", causal, window, length));
        Problem<double> masked = problem();
        masked.causal = causal;
        masked.window = window;
        masked.key_lengths = {length};
        add_slopes(masked);
        expect_gradients_are_slopes(masked, random_upstream(masked, random_));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Family, GradientOfForm,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

TEST(OracleGradient, OfAnEntmaxBetweenTheExactOnesIsItsSlope) {
  RandomStream random(kSeed, 1);
  for (const double alpha : {1.2, 1.7, 2.5}) {
    SCOPED_TRACE(alpha);
    reweighting::AttentionForm form = reweighting::find_attention_form("entmax");
    form.alpha = alpha;
    const attention::AttentionShape shape{.queries = 3, .keys = 4, .width = 2, .value_width = 2};
    Problem<double> problem = random_problem<double>(form, shape, random);
    expect_gradients_are_slopes(problem, random_upstream(problem, random));
  }
}

TEST(OracleGradient, OfARowWithANaNIsNaNAndStaysInTheRow) {
  RandomStream random(kSeed, 2);
  const attention::AttentionShape shape{.queries = 2, .keys = 3, .width = 2, .value_width = 2};
  Problem<double> problem = random_problem<double>(reweighting::find_attention_form("softmax"), shape, random);
  problem.query.row(0, 0, 0)[0] = std::numeric_limits<double>::quiet_NaN();
  Backward<double> gradient = oracle_backward(problem, {});
  EXPECT_TRUE(std::isnan(gradient.query.row(0, 0, 0)[1]));
  EXPECT_TRUE(std::isfinite(gradient.query.row(0, 0, 1)[1]));
}

}  // namespace
}  // namespace polariscope::testing
