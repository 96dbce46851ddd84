// Layers that transformers share, each one node of autograd, on contiguous float32 or float64 tensors of the CPU. What
// stands between the matrix products is done in single passes over memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <vector>

namespace polariscope::models {

struct LinearParameters {
  at::Tensor weight, bias;  // [outputs, inputs], [outputs]
};

// x Wᵀ + b. x: [..., inputs].
at::Tensor linear(const at::Tensor& x, const LinearParameters& parameters);

// residual + x Wᵀ + b. residual: [..., outputs].
at::Tensor add_linear(const at::Tensor& residual, const at::Tensor& x, const LinearParameters& parameters);

// A projection, [batch, length, parts * heads * width], as `parts` views [batch, heads, length, width].
std::vector<at::Tensor> split_heads(const at::Tensor& projected, std::int64_t parts, std::int64_t heads);

// gelu(x Wᵀ + b) with the exact GELU, x Φ(x).
at::Tensor linear_gelu(const at::Tensor& x, const LinearParameters& parameters);

// Σ_r weights_r·(-log softmax(logits_r)[targets_r]), natural logarithm. logits: [..., outputs]; targets: int64 [...],
// each in [0, outputs); weights: [...], of the type of the logits, without gradient. Scalar.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights);

}  // namespace polariscope::models
