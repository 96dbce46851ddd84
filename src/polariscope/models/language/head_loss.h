// The loss of a language model's rows: its head, whose logits are made and used up block by block.
#pragma once

#include "polariscope/models/pretrained/product_precision.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <optional>

namespace polariscope::models::language {

struct HeadLossOptions {
  double logit_scale = 1.0;
  std::optional<double> logit_cap = {};  // c tanh(logit / c)
  double z_loss = 0.0;                   // factor of the mean of (log Σ e^logit)² (Chowdhery et al. 2022)
  ProductPrecision precision = ProductPrecision::kFloat32;
};

// Rows whose logits are there at once: enough for products at full speed, whatever the vocabulary.
std::int64_t logit_rows(std::int64_t vocabulary);

struct HeadLoss {
  at::Tensor loss;             // scalar: mean cross-entropy + z_loss · mean square, differentiable
  double cross_entropy = 0.0;  // nats a token
};

// x: [rows, inputs]; weight: [vocabulary, inputs]; bias: [vocabulary] or undefined; targets: int64 [rows], below 0 for
// rows without a loss. Never more than a few tens of megabytes of logits at once. Means are over the rows with a
// target; without any the loss is 0.
HeadLoss head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& targets,
                   const HeadLossOptions& options);

}  // namespace polariscope::models::language
