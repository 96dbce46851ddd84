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
namespace polariscope::models {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using namespace reweighting::HWY_NAMESPACE;

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

// The same of two things at once.
template <class T, class Visit1, class Visit2>
HWY_INLINE void two_sums_over(std::int64_t width, T& first, T& second, const Visit1& visit_1, const Visit2& visit_2) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sum_1 = hn::Zero(d), sum_2 = hn::Zero(d);
  T rest_1 = 0, rest_2 = 0;
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    sum_1 = hn::Add(sum_1, visit_1(d, i));
    sum_2 = hn::Add(sum_2, visit_2(d, i));
  }
  for (; i < width; ++i) {
    rest_1 += hn::GetLane(visit_1(one, i));
    rest_2 += hn::GetLane(visit_2(one, i));
  }
  first = hn::GetLane(hn::SumOfLanes(d, sum_1)) + rest_1;
  second = hn::GetLane(hn::SumOfLanes(d, sum_2)) + rest_2;
}

// max(z_i) of [0, width); width > 0. Nothing is promised where there is a NaN.
template <class T>
HWY_INLINE T largest_of(std::int64_t width, const T* z) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto largest = hn::Set(d, z[0]);
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) largest = hn::Max(largest, hn::LoadU(d, z + i));
  T all = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < width; ++i) all = std::max(all, z[i]);
  return all;
}

// Adds what visit(d, row, i) returns for all rows to sums[i], four rows at a time: sums are read and written once for
// all four.
template <class T, class Visit>
HWY_INLINE void add_column_sums(std::int64_t rows, std::int64_t width, T* sums, const Visit& visit) {
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto upper = hn::Add(visit(d, r, i), visit(d, r + 1, i));
      const auto lower = hn::Add(visit(d, r + 2, i), visit(d, r + 3, i));
      hn::StoreU(hn::Add(hn::LoadU(d, sums + i), hn::Add(upper, lower)), d, sums + i);
    });
  }
  for (; r < rows; ++r) {
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, sums + i), visit(d, r, i)), d, sums + i);
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
// rows to d_weight and d_bias. dx has what stands in `besides` added, if it is not null. kRows rows together, so that
// the sums are read and written once for all of them.
template <int kRows, class T>
HWY_INLINE void layer_norm_gradient_of(std::int64_t width, const T* x, const T* weight, const T* means,
                                       const T* inverses, const T* g, const T* besides, T* dx, T* d_weight, T* d_bias) {
  const auto unit = [&](auto d, int r, auto i) HWY_ATTR {
    return hn::Mul(hn::Sub(hn::LoadU(d, x + r * width + i), hn::Set(d, means[r])), hn::Set(d, inverses[r]));
  };
  T mean[kRows], along[kRows];
  for (int r = 0; r < kRows; ++r) {
    const auto due = [&](auto d, auto i)
                         HWY_ATTR { return hn::Mul(hn::LoadU(d, g + r * width + i), hn::LoadU(d, weight + i)); };
    two_sums_over(width, mean[r], along[r], due,
                  [&](auto d, auto i) HWY_ATTR { return hn::Mul(due(d, i), unit(d, r, i)); });
    mean[r] /= width;
    along[r] /= width;
  }
  for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
    auto of_weight = hn::LoadU(d, d_weight + i), of_bias = hn::LoadU(d, d_bias + i);
    const auto scale = hn::LoadU(d, weight + i);
    for (int r = 0; r < kRows; ++r) {
      const auto u = unit(d, r, i), of_row = hn::LoadU(d, g + r * width + i);
      // Not fused: of a row of equal numbers they cancel exactly, before 1/√ε scales them up.
      const auto due = hn::Mul(of_row, scale);
      const auto rest = hn::NegMulAdd(u, hn::Set(d, along[r]), hn::Sub(due, hn::Set(d, mean[r])));
      const auto start = besides == nullptr ? hn::Zero(d) : hn::LoadU(d, besides + r * width + i);
      hn::StoreU(hn::MulAdd(hn::Set(d, inverses[r]), rest, start), d, dx + r * width + i);
      of_weight = hn::MulAdd(of_row, u, of_weight);
      of_bias = hn::Add(of_row, of_bias);
    }
    hn::StoreU(of_weight, d, d_weight + i);
    hn::StoreU(of_bias, d, d_bias + i);
  });
}

template <class T>
void layer_norm_gradient_rows(std::int64_t rows, std::int64_t width, const T* x, const T* weight, const T* means,
                              const T* inverses, const T* g, const T* besides, T* dx, T* d_weight, T* d_bias) {
  const auto from = [&]<int kRows>(std::int64_t r) HWY_ATTR {
    layer_norm_gradient_of<kRows>(width, x + r * width, weight, means + r, inverses + r, g + r * width,
                                  besides == nullptr ? nullptr : besides + r * width, dx + r * width, d_weight, d_bias);
  };
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) from.template operator()<4>(r);
  for (; r < rows; ++r) from.template operator()<1>(r);
}

// Adds the sums of columns of g to `sums`.
template <class T>
void column_sum_rows(std::int64_t rows, std::int64_t width, const T* g, T* sums) {
  add_column_sums(rows, width, sums, [=](auto d, auto r, auto i) HWY_ATTR { return hn::LoadU(d, g + r * width + i); });
}

// product = slopes·g, elementwise; adds the sums of its columns to `sums`.
template <class T>
void times_slope_rows(std::int64_t rows, std::int64_t width, const T* g, const T* slopes, T* product, T* sums) {
  add_column_sums(rows, width, sums, [=](auto d, auto r, auto i) HWY_ATTR {
    const std::int64_t at = r * width + i;
    const auto due = hn::Mul(hn::LoadU(d, g + at), hn::LoadU(d, slopes + at));
    hn::StoreU(due, d, product + at);
    return due;
  });
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
    const T largest = largest_of(width, z);
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
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_ROWS_INL_H_
