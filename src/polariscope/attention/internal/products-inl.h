// The matrix products of attention, all of one shape: lanes run along B's contiguous rows, and A is
// broadcast from wherever it lies, so that neither keys nor values are packed and no P is transposed.

#if defined(POLARISCOPE_ATTENTION_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_PRODUCTS_INL_H_
#undef POLARISCOPE_ATTENTION_PRODUCTS_INL_H_
#else
#define POLARISCOPE_ATTENTION_PRODUCTS_INL_H_
#endif

#include "polariscope/attention/internal/ahead.h"

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where numbers lie: element (r, s) at data[r * row + s * step].
template <class T>
struct Strided {
  const T* data;
  std::ptrdiff_t row, step;
};

// As many sums as registers hold, with room for one row of B and one broadcast: 8 x 3 of 32, 4 x 3 of 16.
#if HWY_TARGET <= HWY_AVX3
inline constexpr int kProductRows = 8;
#else
inline constexpr int kProductRows = 4;
#endif
inline constexpr int kProductVectors = 3;

// kRows rows and kVectors vectors of C (+)= Σ_s A(r, s) B[s].
template <bool kAdd, bool kRowsTouch, int kRows, int kVectors, class D, class T = hn::TFromD<D>>
HWY_INLINE void product_block(D d, Strided<T> a, int steps, const T* b, std::ptrdiff_t b_row, T* c,
                              std::ptrdiff_t c_row) {
  const int lanes = static_cast<int>(hn::Lanes(d));
  const std::ptrdiff_t a_row = kRowsTouch ? 1 : a.row;
  const std::ptrdiff_t a_step = kRowsTouch ? a.step : 1;
  hn::Vec<D> sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = kAdd ? hn::Load(d, c + r * c_row + v * lanes) : hn::Zero(d);
  }
#pragma GCC unroll 4
  for (int s = 0; s < steps; ++s, a.data += a_step, b += b_row) {
    hn::Vec<D> row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = hn::Load(d, b + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const hn::Vec<D> one = hn::Set(d, a.data[r * a_row]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(one, row[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::Store(sum[r][v], d, c + r * c_row + v * lanes);
  }
}

template <bool kAdd, bool kRowsTouch, int kVectors, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void product_columns(D d, Strided<T> a, int rows, int steps, const T* b, std::ptrdiff_t b_row, T* c,
                                  std::ptrdiff_t c_row, Ahead* ahead) {
  int r = 0;
  const auto block = [&]<int kRows>() HWY_ATTR {
    for (; r + kRows <= rows; r += kRows) {
      if (ahead != nullptr) ahead->fetch();
      product_block<kAdd, kRowsTouch, kRows, kVectors>(d, Strided<T>{a.data + r * a.row, a.row, a.step}, steps, b,
                                                       b_row, c + r * c_row, c_row);
    }
  };
  if constexpr (kProductRows >= 8) block.template operator()<8>();
  block.template operator()<4>();
  block.template operator()<1>();
}

// C[r] (+)= Σ_s A(r, s) B[s] for r in [0, rows), s in [0, steps). Rows of B and C hold `vectors` aligned vectors.
// kRowsTouch: a.row is 1; else a.step is. ahead: is asked once for every few rows, where not null.
template <bool kAdd, bool kRowsTouch, class D, class T = hn::TFromD<D>>
void product(D d, Strided<T> a, int rows, int steps, const T* b, std::ptrdiff_t b_row, T* c, std::ptrdiff_t c_row,
             int vectors, Ahead* ahead = nullptr) {
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (; vectors >= 3 && vectors != 4; vectors -= 3, b += 3 * lanes, c += 3 * lanes) {
    product_columns<kAdd, kRowsTouch, 3>(d, a, rows, steps, b, b_row, c, c_row, ahead);
  }
  for (; vectors >= 2; vectors -= 2, b += 2 * lanes, c += 2 * lanes) {
    product_columns<kAdd, kRowsTouch, 2>(d, a, rows, steps, b, b_row, c, c_row, ahead);
  }
  if (vectors == 1) product_columns<kAdd, kRowsTouch, 1>(d, a, rows, steps, b, b_row, c, c_row, ahead);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_PRODUCTS_INL_H_
