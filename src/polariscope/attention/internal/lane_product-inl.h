// Products of matrices of vectors, lane by lane: every lane has matrices of its own.

#if defined(POLARISCOPE_ATTENTION_LANE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_LANE_PRODUCT_INL_H_
#undef POLARISCOPE_ATTENTION_LANE_PRODUCT_INL_H_
#else
#define POLARISCOPE_ATTENTION_LANE_PRODUCT_INL_H_
#endif

#include "polariscope/attention/internal/tile-inl.h"

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// kRows rows and kColumns columns of lane_product(). Loops of constant length are unrolled early, lest their sums go
// through memory before and after the products.
template <bool kTransposedA, bool kTransposedB, int kRows, int kColumns, class D, class T = hn::TFromD<D>>
HWY_INLINE void lane_block(D d, const T* a, const T* b, int rows, int columns, int steps, T* c) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const std::ptrdiff_t a_row = (kTransposedA ? 1 : steps) * lanes, a_step = (kTransposedA ? rows : 1) * lanes;
  const std::ptrdiff_t b_row = (kTransposedB ? 1 : columns) * lanes, b_step = (kTransposedB ? steps : 1) * lanes;
  hn::Vec<D> sum[kRows][kColumns];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::Zero(d);
  }
  for (int s = 0; s < steps; ++s, a += a_step, b += b_row) {
    hn::Vec<D> row[kColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) row[j] = hn::Load(d, b + j * b_step);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const hn::Vec<D> one = hn::Load(d, a + r * a_row);
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::MulAdd(one, row[j], sum[r][j]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) hn::Store(sum[r][j], d, c + (r * columns + j) * lanes);
  }
}

// C = A B, lane by lane, of matrices of vectors that lie row by row: A is [rows, steps], transposed [steps, rows]; B is
// [steps, columns], transposed [columns, steps]; C is [rows, columns].
template <bool kTransposedA, bool kTransposedB, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void lane_product(D d, const T* a, const T* b, int rows, int columns, int steps, T* c) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const auto block = [&]<int kRows, int kColumns>(int r, int j) HWY_ATTR {
    lane_block<kTransposedA, kTransposedB, kRows, kColumns>(d, a + r * (kTransposedA ? 1 : steps) * lanes,
                                                            b + j * (kTransposedB ? steps : 1) * lanes, rows, columns,
                                                            steps, c + (r * columns + j) * lanes);
  };
  const auto row_block = [&]<int kRows>(int r) HWY_ATTR {
    int j = 0;
    for (; j + 4 <= columns; j += 4) block.template operator()<kRows, 4>(r, j);
    switch (columns - j) {
      case 3: return block.template operator()<kRows, 3>(r, j);
      case 2: return block.template operator()<kRows, 2>(r, j);
      case 1: return block.template operator()<kRows, 1>(r, j);
      default: return;
    }
  };
  int r = 0;
  for (; r + 4 <= rows; r += 4) row_block.template operator()<4>(r);
  for (; r < rows; ++r) row_block.template operator()<1>(r);
}

// lane_product(), of a B that is not transposed, over those s alone that sees(r, s), a mask of lanes, lets through:
// whatever B holds elsewhere. The same bits where that is finite and A is 0.
template <bool kTransposedA, class Sees, class D, class T = hn::TFromD<D>>
HWY_NOINLINE void seen_product(D d, const T* a, const T* b, int rows, int columns, int steps, const Sees& sees, T* c) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < columns; ++j, c += lanes) {
      V sum = hn::Zero(d);
      for (int s = 0; s < steps; ++s) {
        const V one = hn::Load(d, a + (kTransposedA ? s * rows + r : r * steps + s) * lanes);
        const V value = hn::IfThenElseZero(sees(r, s), hn::Load(d, b + (s * columns + j) * lanes));
        sum = hn::MulAdd(one, value, sum);
      }
      hn::Store(sum, d, c);
    }
  }
}

// Scores of `rows` queries against all keys, [rows, keys], and their summaries: for widths so small that a pass over
// the scores would cost as much as they do.
inline constexpr int kNarrow = 8;
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void narrow_scores(D d, const T* query, const T* key, int rows, int keys, int width, T* scores,
                                Summary<hn::Vec<D>>* summaries) {
  using V = hn::Vec<D>;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  for (int i = 0; i < rows; ++i, query += width * lanes, scores += keys * lanes) {
    V sum[kChains], largest[kChains];
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) {
      sum[k] = hn::Zero(d);
      largest[k] = hn::Set(d, kHidden<T>);
    }
    int j = 0;
    const T* from = key;
    for (; j + kChains <= keys; j += kChains, from += kChains * width * lanes) {
      V z[kChains];
#pragma GCC unroll 4
      for (V& chain : z) chain = hn::Zero(d);
      for (int c = 0; c < width; ++c) {
        const V one = hn::Load(d, query + c * lanes);
#pragma GCC unroll 4
        for (int k = 0; k < kChains; ++k) z[k] = hn::MulAdd(one, hn::Load(d, from + (k * width + c) * lanes), z[k]);
      }
#pragma GCC unroll 4
      for (int k = 0; k < kChains; ++k) {
        hn::Store(z[k], d, scores + (j + k) * lanes);
        sum[k] = hn::Add(sum[k], z[k]);
        largest[k] = hn::Max(largest[k], z[k]);
      }
    }
    for (; j < keys; ++j, from += width * lanes) {
      V z = hn::Zero(d);
      for (int c = 0; c < width; ++c) z = hn::MulAdd(hn::Load(d, query + c * lanes), hn::Load(d, from + c * lanes), z);
      hn::Store(z, d, scores + j * lanes);
      sum[0] = hn::Add(sum[0], z);
      largest[0] = hn::Max(largest[0], z);
    }
    summaries[i] = summary_of(d, hn::Set(d, static_cast<T>(keys)), sum, largest);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_LANE_PRODUCT_INL_H_
