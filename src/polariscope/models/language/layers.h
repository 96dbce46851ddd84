// What a language model is made of, over rows [rows, width] of float32 or float64 numbers. On the CPU each is one node
// of autograd, whose rows are shared out among LibTorch's threads; on other devices LibTorch's own operators compute
// it.
#pragma once

#include "polariscope/models/pretrained/description.h"
#include "polariscope/models/pretrained/product_precision.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <optional>
#include <vector>

namespace polariscope::models::language {

// x Wᵀ + bias + residual. weight: [outputs, inputs]; bias [outputs] and residual [rows, outputs] may be undefined.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                   ProductPrecision precision);

// Of `groups` vectors side by side in a row, with the same weights or weights of their own (by their number), which may
// be undefined: 1 and 0.
at::Tensor norm(const at::Tensor& x, const NormDescription& of, const at::Tensor& weight, const at::Tensor& bias,
                std::int64_t groups);

// f(x)
at::Tensor activated(const at::Tensor& x, Activation activation);
// x: gates, and beside them what they let through.
at::Tensor gated(const at::Tensor& x, const FeedForwardDescription& of);

// Angles of rotary positions: row r takes row places[r] of `table`.
struct Angles {
  at::Tensor table;   // [places, 2, pairs]: cosines, then sines
  at::Tensor places;  // int64 [rows]
};

// Which components of which heads are rotated.
struct Rotation {
  std::int64_t heads, first, pairs;  // `first`: of a head's components
  bool neighbours;
  Angles angles;
};

// The columns of x taken apart, as views of it; those with a rotation are rotated where they lie: x is written over.
std::vector<at::Tensor> split(const at::Tensor& x, const std::vector<std::int64_t>& widths,
                              const std::vector<std::optional<Rotation>>& rotations);
at::Tensor rotated(const at::Tensor& x, const Rotation& rotation);

}  // namespace polariscope::models::language
