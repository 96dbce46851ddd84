#include "polariscope/attention/torch/attend.h"

#include "polariscope/attention/attend.h"
#include "polariscope/base/error.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <vector>

namespace polariscope {
namespace {

at::Tensor normal(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) { return at::randn(sizes, type); }

std::string sentence_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(TensorAttention, IsTheRawArraysOperation) {
  const at::Tensor q = normal({2, 4, 5, 8}), k = normal({2, 2, 7, 8}), v = normal({2, 2, 7, 3});
  const attention::TensorAttention found =
      attention::attend(q, k, v, {.reweighting = "sigmoid/sum", .causal = true, .window = 4});

  std::vector<float> output(2 * 4 * 5 * 3), entropy(2 * 4 * 5);
  attention::AttentionInput<float> input;
  input.form = reweighting::find_attention_form("sigmoid/sum");
  input.shape = {.batch = 2, .heads = 4, .key_heads = 2, .queries = 5, .keys = 7, .width = 8, .value_width = 3};
  input.query = {q.data_ptr<float>(), 4 * 5 * 8, 5 * 8, 8};
  input.key = {k.data_ptr<float>(), 2 * 7 * 8, 7 * 8, 8};
  input.value = {v.data_ptr<float>(), 2 * 7 * 3, 7 * 3, 3};
  input.scale = 1.0 / std::sqrt(8.0);
  input.causal = true;
  input.window = 4;
  attention::AttentionOutput<float> to;
  to.output = {output.data(), 4 * 5 * 3, 5 * 3, 3};
  to.statistics.entropy = entropy.data();
  attention::attend(input, to, 1);

  ASSERT_EQ(found.output.numel(), std::int64_t(output.size()));
  for (std::size_t i = 0; i < output.size(); ++i) EXPECT_EQ(found.output.data_ptr<float>()[i], output[i]);
  for (std::size_t i = 0; i < entropy.size(); ++i) {
    EXPECT_EQ(found.statistics.entropy.data_ptr<float>()[i], entropy[i]);
  }
}

TEST(TensorAttention, HasEveryStatisticOfTheFormAndNoOther) {
  const at::Tensor q = normal({1, 1, 3, 2});
  const attention::TensorStatistics softmax = attention::attend(q, q, q).statistics;
  EXPECT_TRUE(softmax.log_sum_exp.defined());
  EXPECT_FALSE(softmax.column_means.defined());
  EXPECT_EQ(softmax.argmax.scalar_type(), at::kInt);
  EXPECT_EQ(softmax.non_finite.scalar_type(), at::kBool);
  EXPECT_FALSE(attention::attend(q, q, q, {.reweighting = "relu/sum"}).statistics.log_sum_exp.defined());

  const attention::TensorStatistics two = attention::attend(q, q, q, {}, {"column_means", "maximum"}).statistics;
  EXPECT_TRUE(two.maximum.defined());
  EXPECT_FALSE(two.entropy.defined());
  EXPECT_NEAR(two.column_means.sum().item<float>(), 1.0F, 1e-6F);
  EXPECT_EQ(attention::statistics_of("softmax").size(), 14U);
}

TEST(TensorAttention, GradientsReachEveryInput) {
  const at::Tensor q = normal({2, 4, 5, 8}).requires_grad_(), k = normal({2, 2, 7, 8}).requires_grad_();
  const at::Tensor v = normal({2, 2, 7, 3}).requires_grad_();
  const at::Tensor bias = normal({1, 4, 1, 7}).requires_grad_(), sink = normal({4}).requires_grad_();
  const attention::TensorAttention found =
      attention::attend(q, k, v, {.reweighting = "sink", .bias = bias, .sink = sink});
  torch::autograd::backward({found.output.square().sum() + found.statistics.entropy.sum()}, {});
  for (const at::Tensor& input : {q, k, v, bias, sink}) {
    ASSERT_TRUE(input.grad().defined());
    EXPECT_EQ(input.grad().sizes(), input.sizes());
    EXPECT_GT(input.grad().abs().max().item<float>(), 0.0F);
  }
}

TEST(TensorAttention, LearnedParametersHaveGradients) {
  const at::Tensor q = normal({1, 2, 5, 4}, at::kDouble);
  const auto loss = [&](double gamma, double zeta, const at::Tensor& learned) {
    return attention::attend(
               q, q, q,
               {.reweighting = "clipped", .parameters = {{"zeta", zeta}, {"gamma", gamma}}, .learned = learned})
        .output.square()
        .sum();
  };
  const at::Tensor learned = at::tensor({1.2, -0.1}, at::kDouble).requires_grad_();
  torch::autograd::backward({loss(-0.1, 1.2, learned)}, {});
  constexpr double kStep = 1e-6;
  const auto slope = [&](double by_gamma, double by_zeta) {
    return (loss(-0.1 + by_gamma, 1.2 + by_zeta, {}) - loss(-0.1 - by_gamma, 1.2 - by_zeta, {})).item<double>() /
           (2 * kStep);
  };
  EXPECT_NEAR(learned.grad()[0].item<double>(), slope(0, kStep), 1e-6);
  EXPECT_NEAR(learned.grad()[1].item<double>(), slope(kStep, 0), 1e-6);
}

TEST(TensorAttention, OnlyWhatNeedsAGradientGetsOne) {
  const at::Tensor q = normal({1, 2, 5, 4}), k = normal({1, 2, 5, 4}).requires_grad_();
  const attention::TensorAttention found = attention::attend(q, k, q);
  EXPECT_FALSE(found.statistics.skewness.requires_grad());
  torch::autograd::backward({found.statistics.maximum.sum()}, {});
  EXPECT_TRUE(k.grad().defined());
  EXPECT_FALSE(q.grad().defined());
  const at::NoGradGuard no_gradients;
  EXPECT_FALSE(attention::attend(q, k, q).output.requires_grad());
}

TEST(TensorAttention, AMaskOfAWiderTypeHidesAsItsOwn) {
  const at::Tensor q = normal({1, 2, 6, 4});
  at::Tensor least = at::zeros({1, 1, 6, 6}, at::kDouble);
  least.slice(3, 3).fill_(std::numeric_limits<double>::lowest());
  least.select(2, 2).fill_(std::numeric_limits<double>::lowest());  // a row with nothing else is uniform
  least.select(2, 4).slice(2, 5).fill_(-std::numeric_limits<double>::infinity());
  const attention::TensorAttention found = attention::attend(q, q, q, {.bias = least});
  EXPECT_TRUE(at::allclose(found.output.select(2, 2), q.mean(2), 1e-5, 1e-6));
  EXPECT_EQ(found.statistics.visible[0][0][0].item<int>(), 6);
  EXPECT_EQ(found.statistics.visible[0][0][4].item<int>(), 5);
  const at::Tensor key = q.slice(2, 0, 3);
  EXPECT_TRUE(at::allclose(found.output.select(2, 0), attention::attend(q, key, key).output.select(2, 0), 1e-5, 1e-6));
}

TEST(TensorAttention, IsTheSameOnAnyNumberOfThreads) {
  const at::Tensor q = normal({2, 3, 70, 16});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const attention::TensorAttention one = attention::attend(q, q, q, {.causal = true});
  at::set_num_threads(3);
  const attention::TensorAttention three = attention::attend(q, q, q, {.causal = true});
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.output, three.output));
  EXPECT_TRUE(at::equal(one.statistics.entropy, three.statistics.entropy));
}

TEST(TensorAttention, AMistakeIsAnErrorInOneSentence) {
  const at::Tensor q = normal({2, 4, 5, 8});
  EXPECT_EQ(sentence_of([&] {
              attention::attend(q, normal({2, 4, 5, 7}), q);
            }),
            "attend: key has shape [2, 4, 5, 7], query has [2, 4, 5, 8]: both must have the same width");
  EXPECT_EQ(sentence_of([&] { attention::attend(q, q.to(at::kDouble), q); }),
            "attend: key has type Double, query has Float: they must be of one type");
  EXPECT_EQ(sentence_of([&] {
              attention::attend(q, q, q, {.parameters = {{"alpha", 2.0}}});
            }),
            "attend: attention softmax has no parameter alpha");
  EXPECT_EQ(sentence_of([&] {
              attention::attend(q, q, q, {}, {"entropy", "entropy"});
            }),
            "attend: statistic entropy is there twice");
  EXPECT_EQ(sentence_of([&] { attention::attend(at::Tensor(), q, q); }), "attend: query is missing");
  const at::Tensor two = at::tensor({1.0, 2.0}).requires_grad_();
  EXPECT_EQ(sentence_of([&] {
              attention::attend(q, q, q, {.reweighting = "entmax", .parameters = {{"alpha", 1.5}}, .learned = two});
            }),
            "attend: learned has shape [2]: expected [1], one for each parameter");
  EXPECT_NE(sentence_of([&] {
              attention::attend(q, q, q, {.key_lengths = at::tensor({1L, 9L})});
            }).find("key length 9"),
            std::string::npos);
}

}  // namespace
}  // namespace polariscope
