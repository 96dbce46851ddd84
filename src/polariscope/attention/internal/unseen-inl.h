// Products over keys that some queries do not see. There 0 stands for the weight, but 0 · NaN is NaN: a number that is
// not finite is left out of the product and added for those alone who see it.

#if defined(POLARISCOPE_ATTENTION_UNSEEN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_UNSEEN_INL_H_
#undef POLARISCOPE_ATTENTION_UNSEEN_INL_H_
#else
#define POLARISCOPE_ATTENTION_UNSEEN_INL_H_
#endif

#include "polariscope/attention/internal/products-inl.h"
#include "polariscope/attention/internal/scores-inl.h"

#include <hwy/aligned_allocator.h>

#include <cmath>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// Whether rows of `width` numbers, `stride` apart, hold no other than finite ones.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE bool all_finite(D d, const T* rows, std::ptrdiff_t stride, std::int64_t count, std::int64_t width) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const hn::Vec<D> zero = hn::Zero(d);
  hn::Vec<D> spoilt[2] = {zero, zero};
  T rest = 0;
  for (std::int64_t i = 0; i < count; ++i, rows += stride) {
    std::int64_t c = 0;
    for (; c + 2 * lanes <= width; c += 2 * lanes) {
      spoilt[0] = hn::MulAdd(hn::LoadU(d, rows + c), zero, spoilt[0]);
      spoilt[1] = hn::MulAdd(hn::LoadU(d, rows + c + lanes), zero, spoilt[1]);
    }
    for (; c + lanes <= width; c += lanes) spoilt[0] = hn::MulAdd(hn::LoadU(d, rows + c), zero, spoilt[0]);
    for (; c < width; ++c) rest += rows[c] * T(0);
  }
  return rest == T(0) && hn::AllTrue(d, hn::Eq(hn::Add(spoilt[0], spoilt[1]), zero));
}

// A copy of rows, one after the other, with 0 for what is not finite, and where that stood.
template <class T>
struct Mended {
  struct Spot {
    int row, column;
  };
  hwy::AlignedFreeUniquePtr<T[]> numbers;
  std::vector<Spot> spots;

  Mended(const T* rows, std::ptrdiff_t stride, int count, int width)
      : numbers(hwy::AllocateAligned<T>(static_cast<std::size_t>(count) * width)) {
    T* to = numbers.get();
    for (int i = 0; i < count; ++i) {
      for (int c = 0; c < width; ++c, ++to) {
        const T x = rows[i * stride + c];
        *to = std::isfinite(x) ? x : T(0);
        if (!std::isfinite(x)) spots.push_back({i, c});
      }
    }
  }
};

// to[i, lane] += Σ_j rows[j, i] by[j, lane] over the keys [key, key + keys) of a tile: to is [width, W], by [keys, W],
// 0 where a lane does not see a key.
template <class T>
void add_keys(const Scores<T>& scores, std::int64_t key, int keys, const T* rows, std::ptrdiff_t stride, int width,
              const T* by, T* to, Ahead* ahead = nullptr) {
  const hn::ScalableTag<T> d;
  const int queries = scores.width(), vectors = queries / static_cast<int>(hn::Lanes(d));
  if (!scores.hides(key, keys) || all_finite(d, rows, stride, keys, width)) {
    product<true, true>(d, Strided<T>{rows, 1, stride}, width, keys, by, queries, to, queries, vectors, ahead);
    return;
  }
  const Mended<T> mended(rows, stride, keys, width);
  product<true, true>(d, Strided<T>{mended.numbers.get(), 1, width}, width, keys, by, queries, to, queries, vectors);
  for (const auto& [j, i] : mended.spots) {
    for (int q = 0; q < queries; ++q) {
      if (scores.sees(q, key + j)) to[i * queries + q] += rows[j * stride + i] * by[j * queries + q];
    }
  }
}

// The same for values of bfloat16; `by` is lost. Returns false, having done nothing, where that is not to be done.
template <class T>
bool add_low_values(const Scores<T>& scores, std::int64_t key, int keys, const T* rows, std::ptrdiff_t stride,
                    int width, T* by, T* to) {
  if constexpr (std::is_same_v<T, float>) {
    const QueryBlock& block = scores.block();
    if (block.low == nullptr) return false;
    if (scores.hides(key, keys) && !all_finite(hn::ScalableTag<T>(), rows, stride, keys, width)) return false;
    pack_rows(by, keys, block.vectors);
    bfloat16_add_values(block.low->values(block.batch, block.key_head, key), width, (keys + 1) / 2, by, to,
                        block.vectors);
    return true;
  }
  return false;
}

// to[j, i] += Σ_q by[j, q] rows[q, i] over the queries of a block, of whole vectors: to is [keys, width], by as above.
// finite: whether the rows are.
template <class T>
void add_queries(const Scores<T>& scores, std::int64_t key, int keys, const T* rows, int width, bool finite,
                 const T* by, T* to) {
  const hn::ScalableTag<T> d;
  const int queries = scores.width(), vectors = width / static_cast<int>(hn::Lanes(d));
  const Strided<T> matrix{by, queries, 1};
  if (finite || !scores.hides(key, keys)) {
    product<true, false>(d, matrix, keys, queries, rows, width, to, width, vectors);
    return;
  }
  const Mended<T> mended(rows, width, queries, width);
  product<true, false>(d, matrix, keys, queries, mended.numbers.get(), width, to, width, vectors);
  for (const auto& [q, i] : mended.spots) {
    for (int j = 0; j < keys; ++j) {
      if (scores.sees(q, key + j)) to[j * width + i] += rows[q * width + i] * by[j * queries + q];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_UNSEEN_INL_H_
