// LibTorch's own operators, which compute on other devices, against the CPU's kernels: outputs, gradients, statistics.
#include "polariscope/attention/torch/plain_operators.h"

#include "polariscope/attention/torch/attend.h"
#include "polariscope/reweighting/attention_form.h"
#include "tiny_configs.h"
#include "tiny_models.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace polariscope::models::language {
namespace {

using attention::AttendOptions;
using attention::PlainOperators;
using attention::TensorAttention;

at::Tensor drawn(std::vector<std::int64_t> shape, std::uint64_t seed) {
  RandomStream random(seed, 3);
  const at::Tensor numbers = at::empty(shape, at::kDouble);
  for (std::int64_t i = 0; i < numbers.numel(); ++i) numbers.data_ptr<double>()[i] = random.normal();
  return numbers;
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  const at::Tensor same = x.eq(y).logical_or(x.isnan().logical_and(y.isnan()));
  return (x - y).abs().masked_fill(same, 0.0).max().item<double>();
}

std::vector<at::Tensor> rows_of(const TensorAttention& found) {
  const attention::TensorStatistics& s = found.statistics;
  return {found.output, s.entropy,     s.sum_of_squares,    s.maximum,        s.argmax,        s.first_key,
          s.row_sum,    s.log_sum_exp, s.logit_mean,        s.logit_variance, s.logit_maximum, s.skewness,
          s.visible,    s.non_finite,  s.first_visible_key, s.column_means};
}

// What a pass gives, and the gradients of a sum over its output and its differentiable statistics.
std::vector<at::Tensor> passed(const AttendOptions& given, bool plain) {
  std::optional<PlainOperators> all;
  if (plain) all.emplace();
  AttendOptions options = given;
  std::vector<at::Tensor> leaves{drawn({2, 4, 5, 6}, 1), drawn({2, 2, 7, 6}, 2), drawn({2, 2, 7, 3}, 3)};
  for (at::Tensor* more : {&options.bias, &options.sink}) {
    if (more->defined()) leaves.push_back(*more = more->clone());
  }
  for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
  std::vector<std::string> names = attention::statistics_of(options.reweighting);
  names.emplace_back("column_means");
  const TensorAttention found = attention::attend(leaves[0], leaves[1], leaves[2], options, names);
  const attention::TensorStatistics& s = found.statistics;
  at::Tensor sum = (found.output * drawn({2, 4, 5, 3}, 4)).sum();
  std::uint64_t seed = 5;
  for (const at::Tensor& one : {s.entropy, s.sum_of_squares, s.maximum, s.first_key, s.log_sum_exp, s.logit_mean,
                                s.logit_variance, s.first_visible_key}) {
    if (one.defined()) sum = sum + (one * drawn({2, 4, 5}, ++seed)).sum();
  }
  sum.backward();
  std::vector<at::Tensor> all_numbers = rows_of(found);
  for (const at::Tensor& leaf : leaves) all_numbers.push_back(leaf.grad());
  return all_numbers;
}

void expect_the_same(const AttendOptions& options) {
  SCOPED_TRACE(options.reweighting);
  const std::vector<at::Tensor> kernels = passed(options, false), plain = passed(options, true);
  ASSERT_EQ(kernels.size(), plain.size());
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    ASSERT_EQ(kernels[i].defined(), plain[i].defined()) << i;
    if (!kernels[i].defined()) continue;
    EXPECT_EQ(kernels[i].scalar_type(), plain[i].scalar_type()) << i;
    EXPECT_LT(apart(kernels[i], plain[i]),
              1e-9 * (1.0 + kernels[i].detach().to(at::kDouble).nan_to_num().abs().max().item<double>()))
        << i;
  }
}

TEST(PlainOperators, AreTheKernelsInEveryForm) {
  for (const auto& form : reweighting::attention_forms()) {
    expect_the_same({.reweighting = std::string(form.name), .causal = true});
  }
}

TEST(PlainOperators, AreTheKernelsUnderEveryMask) {
  for (const char* name : {"softmax", "sink", "relu_kernel/sum", "sigmoid", "entmax"}) {
    expect_the_same({.reweighting = name});
    expect_the_same({.reweighting = name, .causal = true, .window = 3});
    expect_the_same({.reweighting = name, .window = 2});
    expect_the_same({.reweighting = name, .causal = true, .key_lengths = at::tensor({4, 7}, at::kLong)});
    expect_the_same({.reweighting = name, .bias = drawn({1, 4, 5, 7}, 9), .slopes = drawn({4}, 10).abs()});
  }
  expect_the_same({.reweighting = "sink", .causal = true, .sink = drawn({4}, 11)});
}

TEST(PlainOperators, ShowWhatIsNotFinite) {
  const at::Tensor key = drawn({1, 1, 3, 4}, 2), query = drawn({1, 1, 3, 4}, 1), value = drawn({1, 1, 3, 4}, 3);
  key.data_ptr<double>()[4] = std::nan("");  // of the second key
  const PlainOperators all;
  const TensorAttention found = attention::attend(query, key, value, {.causal = true});
  EXPECT_EQ(found.statistics.non_finite.sum().item<std::int64_t>(), 2);
  EXPECT_TRUE(std::isnan(found.statistics.entropy.view({-1})[1].item<double>()));
}

// The whole model: its loss and its gradients.
TEST(PlainOperators, TrainEveryModelAlike) {
  for (const auto& config : tiny_configs()) {
    SCOPED_TRACE(config.dump());
    LanguageModel kernels = model_of(config), plain = model_of(config);
    const at::Tensor tokens = drawn_tokens(2, 8, kernels.shape().vocabulary, 2);
    const HeadLoss expected = kernels.loss(tokens, next(tokens), 0.02);
    expected.loss.backward();
    const PlainOperators all;
    const HeadLoss found = plain.loss(tokens, next(tokens), 0.02);
    found.loss.backward();
    EXPECT_NEAR(found.cross_entropy, expected.cross_entropy, 1e-12);
    EXPECT_NEAR(found.loss.item<double>(), expected.loss.item<double>(), 1e-12);
    const at::Tensor gradients = kernels.parameters().gradients();
    EXPECT_LT((plain.parameters().gradients() - gradients).norm().item<double>(),
              1e-10 * gradients.norm().item<double>());
  }
}

}  // namespace
}  // namespace polariscope::models::language
