// Layers that transformers share, differentiable, on float32 or float64 tensors of the CPU.
#pragma once

#include <ATen/core/Tensor.h>

namespace polariscope {

// x Wᵀ + b. x: [..., inputs], contiguous; weight: [outputs, inputs]; bias: [outputs].
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// gelu(x Wᵀ + b) with the exact GELU, x Φ(x).
at::Tensor linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// (x - mean)/√(variance + 1e-5)·weight + bias over the last dimension. weight, bias: [width].
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace polariscope
