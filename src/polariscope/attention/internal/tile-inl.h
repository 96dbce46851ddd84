// What is done to a tile of scores, [keys, lanes], one vector of queries (a column) at a time: hide, lower by
// the maximum, weigh, measure. A hidden score is minus infinity; tiles that hide none are spared the masks.

#if defined(POLARISCOPE_ATTENTION_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TILE_INL_H_
#undef POLARISCOPE_ATTENTION_TILE_INL_H_
#else
#define POLARISCOPE_ATTENTION_TILE_INL_H_
#endif

#include "polariscope/attention/internal/blocks.h"
#include "polariscope/attention/internal/running-inl.h"
#include "polariscope/reweighting/functions-inl.h"
#include "polariscope/reweighting/simd_math-inl.h"

#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// One column of a tile: element j at data[j * stride].
template <class T>
struct Column {
  T* data;
  std::ptrdiff_t stride;
  int keys;
};

template <class T>
inline constexpr T kHidden = -std::numeric_limits<T>::infinity();

// Not above any score, and finite, so that a difference of two is no NaN.
template <class T>
inline constexpr T kLowest = std::numeric_limits<T>::lowest();

template <bool kMasked, class D>
HWY_INLINE hn::Mask<D> visible(D d, hn::Vec<D> z) {
  // Not Ne, which is false for NaN.
  if constexpr (kMasked) return hn::Not(hn::Eq(z, hn::Set(d, kHidden<hn::TFromD<D>>)));
  return hn::MaskFromVec(hn::BitCast(d, hn::Set(hn::RebindToSigned<D>(), -1)));
}
template <bool kMasked, class D>
HWY_INLINE hn::Vec<D> kept(D d, hn::Vec<D> z, hn::Vec<D> value) {
  if constexpr (kMasked) return hn::IfThenElseZero(visible<true>(d, z), value);
  return value;
}

// Hides the keys outside [first, end), lane by lane. Returns 0, or NaN for lanes that hold a NaN or an infinity among
// the rest, before an infinity can be taken for a hidden score. key_0: the tile's first key.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> hide_outside(D d, Column<T> tile, T key_0, hn::Vec<D> first, hn::Vec<D> end) {
  const hn::Vec<D> zero = hn::Zero(d);
  hn::Vec<D> spoilt = zero;
  for (int j = 0; j < tile.keys; ++j) {
    const hn::Vec<D> key = hn::Set(d, key_0 + static_cast<T>(j));
    const auto seen = hn::And(hn::Ge(key, first), hn::Lt(key, end));
    T* at = tile.data + j * tile.stride;
    const hn::Vec<D> raw = hn::Load(d, at);
    const hn::Vec<D> z = hn::MulAdd(raw, zero, raw);  // NaN for an infinity
    spoilt = hn::MulAdd(hn::IfThenElseZero(seen, z), zero, spoilt);
    hn::Store(hn::IfThenElse(seen, z, hn::Set(d, kHidden<T>)), d, at);
  }
  return spoilt;
}

// Sums run in four chains: a single one would wait for each of its additions.
inline constexpr int kChains = 4;

// Calls visit(j, chain) for every key of a tile.
template <class Visit>
HWY_INLINE void for_each_key(int keys, const Visit& visit) {
  int j = 0;
  for (; j + kChains <= keys; j += kChains) {
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) visit(j + k, k);
  }
  for (; j < keys; ++j) visit(j, 0);
}
template <class V>
HWY_INLINE V total_of(const V (&sum)[kChains]) {
  return hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
}

// 0, or NaN for lanes that hold a visible score that is not finite.
template <bool kMasked, class D, class T = hn::TFromD<D>>
HWY_NOINLINE hn::Vec<D> spoilt_one_by_one(D d, Column<T> scores) {
  hn::Vec<D> spoilt = hn::Zero(d);
  for (int j = 0; j < scores.keys; ++j) {
    const hn::Vec<D> z = hn::Load(d, scores.data + j * scores.stride);
    spoilt = hn::MulAdd(kept<kMasked>(d, z, z), hn::Zero(d), spoilt);
  }
  return spoilt;
}

// The same where a sum of the scores is known: while it is finite they are. Sums of finite scores may overflow.
template <bool kMasked, class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> spoilt_of(D d, Column<T> scores, hn::Vec<D> sum) {
  if (hn::AllTrue(d, hn::IsFinite(sum))) return hn::Zero(d);
  return spoilt_one_by_one<kMasked>(d, scores);
}

// Number, mean and largest of the visible scores; the largest of none is minus infinity.
template <class V>
struct Summary {
  V count, mean, largest;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE Summary<V> summary_of(D d, V count, const V (&sum)[kChains], const V (&largest)[kChains]) {
  const V most = hn::Max(hn::Max(largest[0], largest[1]), hn::Max(largest[2], largest[3]));
  return {count, hn::Div(total_of(sum), hn::Max(count, hn::Set(d, 1))), most};
}
template <bool kMasked, class D, class T = hn::TFromD<D>>
HWY_INLINE Summary<hn::Vec<D>> summary(D d, Column<T> tile) {
  using V = hn::Vec<D>;
  const V one = hn::Set(d, 1);
  V sum[kChains], largest[kChains], count = hn::Zero(d);
  for (int k = 0; k < kChains; ++k) {
    sum[k] = hn::Zero(d);
    largest[k] = hn::Set(d, kHidden<T>);
  }
  for_each_key(tile.keys, [&](int j, int k) HWY_ATTR {
    const V z = hn::Load(d, tile.data + j * tile.stride);
    sum[k] = hn::Add(sum[k], kept<kMasked>(d, z, z));
    largest[k] = hn::Max(largest[k], z);
    if constexpr (kMasked) count = hn::Add(count, kept<true>(d, z, one));
  });
  if constexpr (!kMasked) count = hn::Set(d, static_cast<T>(tile.keys));
  return summary_of(d, count, sum, largest);
}

// Σ (x - mean)² and, with kCubes, Σ (x - mean)³ over the visible keys; `scores` says which they are.
template <bool kMasked, bool kCubes, class D, class T = hn::TFromD<D>>
HWY_INLINE void central_sums(D d, Column<T> tile, const T* scores, hn::Vec<D> mean, hn::Vec<D>& squares,
                             hn::Vec<D>& cubes) {
  using V = hn::Vec<D>;
  V two[kChains], three[kChains];
  for (int k = 0; k < kChains; ++k) two[k] = three[k] = hn::Zero(d);
  for_each_key(tile.keys, [&](int j, int k) HWY_ATTR {
    const V from = hn::Sub(hn::Load(d, tile.data + j * tile.stride), mean);
    const V apart = kMasked ? kept<kMasked>(d, hn::Load(d, scores + j * tile.stride), from) : from;
    if constexpr (kCubes) {
      const V square = hn::Mul(apart, apart);
      two[k] = hn::Add(two[k], square);
      three[k] = hn::MulAdd(square, apart, three[k]);
    } else {
      two[k] = hn::MulAdd(apart, apart, two[k]);
    }
  });
  squares = total_of(two);
  cubes = total_of(three);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TILE_INL_H_
