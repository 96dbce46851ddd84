// Products of a language model's matrices: y = x Wᵀ, and what x and W are due. Rows are shared out among threads, each
// of which multiplies alone; sums over rows are taken in one order whatever the number of threads.
#pragma once

#include "polariscope/models/pretrained/product_precision.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

namespace polariscope::models {

// What a product is given of `numbers`, [rows, width] with contiguous rows: themselves, or rounded to bfloat16, which
// is done once for all the products that they enter.
at::Tensor as_factor(const at::Tensor& numbers, ProductPrecision precision);

// x: [rows, inputs], weight: [outputs, inputs], y and dy: [rows, outputs]; x, weight and dy as as_factor() gives them,
// y and gradients of their sums' type: float32 or float64. Rows of each are contiguous, and may stand further apart.

// y = x Wᵀ + bias, and + what y holds already where `add`. bias: [outputs] or undefined.
void multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool add, const at::Tensor& y);
// dx = dy W
void multiply_back(const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& dx);
// dW = dyᵀ x, and + what dW holds already where `add`.
void multiply_rows(const at::Tensor& dy, const at::Tensor& x, bool add, const at::Tensor& d_weight);

}  // namespace polariscope::models
