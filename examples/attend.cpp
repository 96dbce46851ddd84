// Attention with row statistics from C++, and an entropy penalty with its gradient.
// Built with the tests (./dev test); run: build/release/tests/attention_torch/example_attend
#include "polariscope/attention/torch/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>

int main() {
  // [batch, heads, queries, width]; the second head's queries are ten times as long.
  at::Tensor query = at::randn({1, 2, 64, 16});
  query.select(1, 1).mul_(10);
  query.requires_grad_();
  const at::Tensor key = at::randn({1, 2, 64, 16}), value = at::randn({1, 2, 64, 16});

  const polariscope::attention::TensorAttention found =
      polariscope::attention::attend(query, key, value, {.causal = true});
  const auto& rows = found.statistics;
  for (int head = 0; head < 2; ++head) {
    std::printf("head %d: entropy of the last row %.3f nats, largest weight %.3f, on key %d; logit variance %.2f\n",
                head, rows.entropy[0][head][63].item<double>(), rows.maximum[0][head][63].item<double>(),
                rows.argmax[0][head][63].item<int>(), rows.logit_variance[0][head][63].item<double>());
  }

  // Rows that fall below one nat are pushed up: the gradient comes from the same operator.
  const at::Tensor penalty = (1.0 - rows.entropy).relu().square().mean();
  torch::autograd::backward({penalty}, {});
  std::printf("penalty %.4f; its gradient by the queries of head 0 and 1: %.2g, %.2g\n", penalty.item<double>(),
              query.grad().select(1, 0).norm().item<double>(), query.grad().select(1, 1).norm().item<double>());
}
