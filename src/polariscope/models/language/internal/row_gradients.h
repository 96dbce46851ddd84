// The way back through what a language model does between matrix products, row by row (pretrained/internal/
// row_kernels.h is the way there), chosen for the processor at run time.
#pragma once

#include "polariscope/models/pretrained/internal/row_kernels.h"

#include <cstdint>

namespace polariscope::models {

// Of a row's logits z as they come of a product: c tanh(scale·z/c) where the cap c is finite, scale·z elsewhere; then
//   weight·(log Σ e^z - z_target + z_loss (log Σ e^z)²).
struct LogitLoss {
  double scale = 1.0, cap = 0.0;  // cap 0: none
  double z_loss = 0.0;
};

// Sums over rows, of weight times each.
struct LogitSums {
  double cross_entropy = 0.0, square_of_log_sum = 0.0;
};

template <class T>
struct RowGradients {
  // dx of y = norm(x) due dy; adds to d_weight and d_bias, which lie as the norm's weights do and may be null.
  void (*norm)(const NormShape& shape, RowsAt<const T> x, const T* weight, RowsAt<const T> dy, RowsAt<T> dx,
               T* d_weight, T* d_bias);
  // dx = f'(x)·dy
  void (*activate)(Activation activation, std::int64_t rows, std::int64_t width, RowsAt<const T> x, RowsAt<const T> dy,
                   RowsAt<T> dx);
  void (*gate)(const GateShape& shape, std::int64_t rows, std::int64_t width, RowsAt<const T> gate, RowsAt<const T> up,
               RowsAt<const T> dy, RowsAt<T> d_gate, RowsAt<T> d_up);
  // z becomes the loss's gradient with respect to the product. A target below 0 is of a row without a loss.
  LogitSums (*loss)(const LogitLoss& loss, std::int64_t rows, std::int64_t width, const std::int64_t* targets, T weight,
                    RowsAt<T> z);
  // Adds the sums of the columns of g to `sums`, [width].
  void (*sum_columns)(std::int64_t rows, std::int64_t width, RowsAt<const T> g, T* sums);
};

template <class T>
const RowGradients<T>& row_gradients();

}  // namespace polariscope::models
