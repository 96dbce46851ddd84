// What the layers do between matrix products, chosen for the processor at run time. Matrices are contiguous [rows,
// width]; T is float or double.
#pragma once

#include <cstdint>

namespace polariscope::models {

// value = gelu(x + bias) by rows, x becomes the slope there.
template <class T>
void gelu(std::int64_t rows, std::int64_t width, const T* bias, T* x, T* value);

// y = (x - mean)/√(variance + epsilon)·weight + bias by rows; means and inverses (of the root): [rows].
template <class T>
void layer_norm(std::int64_t rows, std::int64_t width, const T* x, const T* weight, const T* bias, T epsilon, T* y,
                T* means, T* inverses);

// Writes dx, plus `besides` by rows if it is not null; adds to d_weight and d_bias, [width].
template <class T>
void layer_norm_gradient(std::int64_t rows, std::int64_t width, const T* x, const T* weight, const T* means,
                         const T* inverses, const T* dy, const T* besides, T* dx, T* d_weight, T* d_bias);

// Adds the sums of the columns of g to `sums`, [width].
template <class T>
void column_sums(std::int64_t rows, std::int64_t width, const T* g, T* sums);

// product = g·slopes, elementwise; adds the sums of its columns to `sums`, [width].
template <class T>
void times_slopes(std::int64_t rows, std::int64_t width, const T* g, const T* slopes, T* product, T* sums);

// Σ_r weights_r·(log Σ_j e^{z_rj} - z_{r, targets_r}) and its gradient dz. targets in [0, width).
template <class T>
double cross_entropy(std::int64_t rows, std::int64_t width, const T* z, const std::int64_t* targets, const T* weights,
                     T* dz);

}  // namespace polariscope::models
