// What a pretrained model does between matrix products, row by row, chosen for the processor at run time.
#pragma once

#include "polariscope/models/pretrained/description.h"

#include <cstdint>

namespace polariscope::models {

// Rows lie `stride` numbers apart. What a kernel reads and what it writes may be the same rows.
template <class T>
struct RowsAt {
  T* data;
  std::int64_t stride;
  operator RowsAt<const T>() const { return {data, stride}; }
};

// Every row holds `groups` vectors of `width` side by side, each with weights of its own where `weight_stride` is the
// width, with the same ones where it is 0.
struct NormShape {
  std::int64_t rows, groups, width, weight_stride;
  bool centred;
  double epsilon;
};

// Numbers a and b of a head stand `pairs` apart, or side by side where they are neighbours.
struct RotaryShape {
  std::int64_t rows, heads, head_stride, pairs;
  bool neighbours;
};

// f(min(gate, limit))·(clamp(up, -limit, limit) + up_offset); limit may be infinite.
struct GateShape {
  Activation activation;
  double up_offset, limit;
};

template <class T>
struct RowKernels {
  // y = (x - mean)/√(variance + ε)·weight + bias, or x/√(mean of squares + ε)·weight + bias where not centred. weight
  // and bias may be null: 1 and 0.
  void (*norm)(const NormShape& shape, RowsAt<const T> x, const T* weight, const T* bias, RowsAt<T> y);
  // (a, b) -> (a cos - b sin, b cos + a sin). Row r takes `pairs` cosines, then as many sines, from
  // angles + places[r]·2 pairs.
  void (*rotate)(const RotaryShape& shape, const T* angles, const std::int64_t* places, RowsAt<T> x);
  // y = f(x)
  void (*activate)(Activation activation, std::int64_t rows, std::int64_t width, RowsAt<const T> x, RowsAt<T> y);
  void (*gate)(const GateShape& shape, std::int64_t rows, std::int64_t width, RowsAt<const T> gate, RowsAt<const T> up,
               RowsAt<T> y);
  // x = min(max(x, -limit), limit)
  void (*clip)(T limit, std::int64_t rows, std::int64_t width, RowsAt<T> x);
  // x = cap·tanh(x/cap)
  void (*cap)(T cap, std::int64_t rows, std::int64_t width, RowsAt<T> x);
  // y += x
  void (*add)(std::int64_t rows, std::int64_t width, RowsAt<const T> x, RowsAt<T> y);
  // Takes z into log-sum-exps over columns: `most` is the largest so far (at first minus infinity), `sum` that of
  // e^{z - most} (at first 0), [rows] each. A row with a NaN gets a sum that is NaN.
  void (*add_to_log_sums)(std::int64_t rows, std::int64_t width, RowsAt<const T> z, T* most, double* sum);
  // Σ x² of each row, [rows]
  void (*square_sums)(std::int64_t rows, std::int64_t width, RowsAt<const T> x, double* sums);
};

template <class T>
const RowKernels<T>& row_kernels();

}  // namespace polariscope::models
