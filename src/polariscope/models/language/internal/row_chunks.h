// Rows shared out among LibTorch's threads, in chunks whose numbers stay in the second-level cache.
#pragma once

#include "polariscope/base/parallel.h"
#include "polariscope/models/language/internal/row_gradients.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>

namespace polariscope::models::language {

constexpr std::int64_t kChunkRows = 256;

inline std::int64_t chunks_of(std::int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// Calls visit(chunk's number, first row, number of rows).
template <class Visit>
void for_row_chunks(std::int64_t rows, const Visit& visit) {
  parallel_for(chunks_of(rows), at::get_num_threads(), [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kChunkRows;
    visit(chunk, first, std::min(kChunkRows, rows - first));
  });
}

// Calls run.template operator()<T>() for the type of the numbers.
template <class Run>
auto with_type(const at::Tensor& numbers, const Run& run) {
  return numbers.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

// From row `first` on; columns are contiguous.
template <class T>
RowsAt<T> rows_at(const at::Tensor& matrix, std::int64_t first) {
  return {matrix.data_ptr<T>() + first * matrix.stride(0), matrix.stride(0)};
}

template <class T>
T* numbers_of(const at::Tensor& vector) {
  return vector.defined() ? vector.data_ptr<T>() : nullptr;
}

// Rows that kernels can read: as they lie where their numbers are side by side.
inline at::Tensor readable(const at::Tensor& matrix) {
  return matrix.stride(1) == 1 || matrix.size(1) <= 1 ? matrix : matrix.contiguous();
}

// Σ over the first dimension of [parts, …], in its order whatever the number of threads.
inline at::Tensor sum_of_parts(const at::Tensor& parts) {
  at::Tensor sum = parts.select(0, 0).clone();
  for (std::int64_t p = 1; p < parts.size(0); ++p) sum.add_(parts.select(0, p));
  return sum;
}

// Sums of the columns of g, [width]: those of each chunk, then of all, in one order.
inline at::Tensor column_sums(const at::Tensor& g) {
  const at::Tensor parts = at::zeros({chunks_of(g.size(0)), g.size(1)}, g.options());
  with_type(g, [&]<class T>() {
    for_row_chunks(g.size(0), [&](std::int64_t chunk, std::int64_t first, std::int64_t count) {
      row_gradients<T>().sum_columns(count, g.size(1), rows_at<T>(g, first), rows_at<T>(parts, chunk).data);
    });
  });
  return sum_of_parts(parts);
}

}  // namespace polariscope::models::language
