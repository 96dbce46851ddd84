// Rows are taken through layers in chunks, which their passes find in the second-level cache.
#pragma once

#include "polariscope/models/internal/matrix_product.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace polariscope::models {

constexpr std::int64_t kChunk = 512;

// Calls visit(first row, number of rows).
template <class Visit>
void for_each_chunk(std::int64_t rows, const Visit& visit) {
  for (std::int64_t first = 0; first < rows; first += kChunk) visit(first, std::min(kChunk, rows - first));
}

// Calls run.template operator()<T>() for the tensor's type.
template <class Run>
auto with_type(const at::Tensor& tensor, const Run& run) {
  return tensor.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

inline at::Tensor rows_of(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

template <class T>
T* row(const at::Tensor& matrix, std::int64_t first) {
  return matrix.data_ptr<T>() + first * matrix.size(1);
}

inline std::vector<std::int64_t> with_width(const at::Tensor& x, std::int64_t width) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.back() = width;
  return sizes;
}

// Of y = x Wᵀ.
template <class T>
Factor<T> forward_factor(const at::Tensor& weight) {
  return {weight.size(1), weight.size(0), Operand<T>{weight.data_ptr<T>(), weight.size(1), true}};
}

// Of dx = dy W.
template <class T>
Factor<T> backward_factor(const at::Tensor& weight) {
  return {weight.size(0), weight.size(1), Operand<T>{weight.data_ptr<T>(), weight.size(1)}};
}

// What a linear layer's parameters are due, summed over chunks: dW = Σ dyᵀ x, db = Σ dy.
struct LinearGradients {
  explicit LinearGradients(const at::Tensor& of_weight)
      : weight(at::zeros_like(of_weight)), bias(at::zeros({of_weight.size(0)}, of_weight.options())) {}

  // dW; db is summed by who has dy in hand.
  template <class T>
  void add_weight(std::int64_t count, const T* x, const T* dy) const {
    const std::int64_t inputs = weight.size(1), outputs = weight.size(0);
    multiply(outputs, inputs, count, Operand<T>{dy, outputs, true}, Operand<T>{x, inputs}, T(1), weight.data_ptr<T>());
  }
  at::Tensor weight, bias;
};

}  // namespace polariscope::models
