// Passes over the rows of a matrix, [rows, width]: LayerNorm, sums of columns, cross-entropy.

#if defined(POLARISCOPE_MODELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_ROWS_INL_H_
#undef POLARISCOPE_MODELS_ROWS_INL_H_
#else
#define POLARISCOPE_MODELS_ROWS_INL_H_
#endif

#include "polariscope/reweighting/exp-inl.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls visit(d, i) for vectors of [0, width) and then for its rest, number by number.
template <class T, class Visit>
HWY_INLINE void for_each_vector(std::int64_t width, const Visit& visit) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) visit(d, i);
  for (; i < width; ++i) visit(one, i);
}

// Σ of what visit(d, i) returns, over all numbers.
template <class T, class Visit>
HWY_INLINE T sum_over(std::int64_t width, const Visit& visit) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  T rest = 0;
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) sum = hn::Add(sum, visit(d, i));
  for (; i < width; ++i) rest += hn::GetLane(visit(one, i));
  return hn::GetLane(hn::SumOfLanes(d, sum)) + rest;
}

// y = x + bias, row by row; without x, y = bias.
template <class T>
void add_bias_rows(std::int64_t rows, std::int64_t width, const T* x, const T* bias, T* y) {
  for (std::int64_t r = 0; r < rows; ++r, y += width) {
    if (x == nullptr) {
      std::copy_n(bias, width, y);
      continue;
    }
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, x + r * width + i), hn::LoadU(d, bias + i)), d, y + i);
    });
  }
}

// y = (x - mean)/√(variance + ε)·weight + bias; keeps mean and 1/√(variance + ε), [rows] each.
template <class T>
void layer_norm_rows(std::int64_t rows, std::int64_t width, const T* x, const T* weight, const T* bias, T epsilon, T* y,
                     T* means, T* inverses) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += width) {
    const T mean = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR { return hn::LoadU(d, x + i); }) / width;
    const T squares = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto apart = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean));
      return hn::Mul(apart, apart);
    });
    const T inverse = T(1) / std::sqrt(squares / width + epsilon);
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto unit = hn::Mul(hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean)), hn::Set(d, inverse));
      hn::StoreU(hn::MulAdd(unit, hn::LoadU(d, weight + i), hn::LoadU(d, bias + i)), d, y + i);
    });
    means[r] = mean;
    inverses[r] = inverse;
  }
}

// With x̂ = (x - mean)·inverse and h = g·weight: dx = inverse (h - mean(h) - x̂ mean(h x̂)); adds Σ g x̂ and Σ g over the
// rows to d_weight and d_bias.
template <class T>
void layer_norm_gradient_rows(std::int64_t rows, std::int64_t width, const T* x, const T* weight, const T* means,
                              const T* inverses, const T* g, T* dx, T* d_weight, T* d_bias) {
  for (std::int64_t r = 0; r < rows; ++r, x += width, g += width, dx += width) {
    const auto unit = [&](auto d, auto i) HWY_ATTR {
      return hn::Mul(hn::Sub(hn::LoadU(d, x + i), hn::Set(d, means[r])), hn::Set(d, inverses[r]));
    };
    const auto due = [&](auto d, auto i) HWY_ATTR { return hn::Mul(hn::LoadU(d, g + i), hn::LoadU(d, weight + i)); };
    const T mean = sum_over<T>(width, due) / width;
    const T along = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR { return hn::Mul(due(d, i), unit(d, i)); }) / width;
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto u = unit(d, i), of_row = hn::LoadU(d, g + i);
      const auto rest = hn::NegMulAdd(u, hn::Set(d, along), hn::Sub(due(d, i), hn::Set(d, mean)));
      hn::StoreU(hn::Mul(hn::Set(d, inverses[r]), rest), d, dx + i);
      hn::StoreU(hn::MulAdd(of_row, u, hn::LoadU(d, d_weight + i)), d, d_weight + i);
      hn::StoreU(hn::Add(of_row, hn::LoadU(d, d_bias + i)), d, d_bias + i);
    });
  }
}

// Adds the sums of columns of g to `sums`.
template <class T>
void column_sum_rows(std::int64_t rows, std::int64_t width, const T* g, T* sums) {
  for (std::int64_t r = 0; r < rows; ++r, g += width) {
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, g + i), hn::LoadU(d, sums + i)), d, sums + i);
    });
  }
}

// product = slopes·g, elementwise; adds the sums of its columns to `sums`.
template <class T>
void times_slope_rows(std::int64_t rows, std::int64_t width, const T* g, const T* slopes, T* product, T* sums) {
  for (std::int64_t r = 0; r < rows; ++r, g += width, slopes += width, product += width) {
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto due = hn::Mul(hn::LoadU(d, g + i), hn::LoadU(d, slopes + i));
      hn::StoreU(due, d, product + i);
      hn::StoreU(hn::Add(due, hn::LoadU(d, sums + i)), d, sums + i);
    });
  }
}

// Σ_r weight_r·(log Σ e^{z_r} - z_{r, target}); dz = weight_r (softmax(z_r) - 1[target]). Rows of weight 0 are skipped.
template <class T>
double cross_entropy_rows(std::int64_t rows, std::int64_t width, const T* z, const std::int64_t* targets,
                          const T* weights, T* dz) {
  double loss = 0.0;
  for (std::int64_t r = 0; r < rows; ++r, z += width, dz += width) {
    if (weights[r] == T(0)) {
      std::fill_n(dz, width, T(0));
      continue;
    }
    const T largest = *std::max_element(z, z + width);
    const T sum = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto e = fast_exp(d, hn::Sub(hn::LoadU(d, z + i), hn::Set(d, largest)));
      hn::StoreU(e, d, dz + i);
      return e;
    });
    loss += static_cast<double>(weights[r]) * (std::log(static_cast<double>(sum)) + largest - z[targets[r]]);
    const T scale = weights[r] / sum;
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(hn::Mul(hn::LoadU(d, dz + i), hn::Set(d, scale)), d, dz + i);
    });
    dz[targets[r]] -= weights[r];
  }
  return loss;
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_ROWS_INL_H_
