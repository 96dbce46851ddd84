// Between rows of memory and lanes: element (row, column) of up to a vector of rows, column by column.
//
// A 128-bit strip of every fourth row (of every second, for doubles) makes one vector; transposing the blocks
// of four such vectors leaves rows along the lanes in their order.

#if defined(POLARISCOPE_ATTENTION_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_TRANSPOSE_INL_H_
#undef POLARISCOPE_ATTENTION_TRANSPOSE_INL_H_
#else
#define POLARISCOPE_ATTENTION_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
// Numbers in a strip, and vectors in a block to be transposed.
template <class D>
inline constexpr int kStrip = 16 / sizeof(hn::TFromD<D>);

// Strips at `column` of rows[0], rows[kStrip], ... into one vector.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_strips(D d, const T* const* rows, std::ptrdiff_t column) {
  if constexpr (hn::MaxLanes(d) == kStrip<D>) {
    return hn::LoadU(d, rows[0] + column);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_strips(half, rows + hn::MaxLanes(half), column), load_strips(half, rows, column));
  }
}
template <class D, class Rows, class T = hn::TFromD<D>>
HWY_INLINE void store_strips(D d, hn::Vec<D> strips, const Rows& rows, int row, std::ptrdiff_t column) {
  if constexpr (hn::MaxLanes(d) == kStrip<D>) {
    hn::StoreU(strips, d, rows(row) + column);
  } else {
    const hn::Half<D> half;
    store_strips(half, hn::LowerHalf(half, strips), rows, row, column);
    store_strips(half, hn::UpperHalf(half, strips), rows, row + hn::MaxLanes(half), column);
  }
}

// Transposes the 128-bit blocks of kStrip vectors.
template <class D>
HWY_INLINE void transpose_blocks(D d, hn::Vec<D>* x) {
  if constexpr (kStrip<D> == 2) {
    const hn::Vec<D> a = x[0];
    x[0] = hn::InterleaveLower(d, a, x[1]);
    x[1] = hn::InterleaveUpper(d, a, x[1]);
  } else {
    const hn::Repartition<double, D> wide;
    const auto low_01 = hn::BitCast(wide, hn::InterleaveLower(d, x[0], x[1]));
    const auto low_23 = hn::BitCast(wide, hn::InterleaveLower(d, x[2], x[3]));
    const auto high_01 = hn::BitCast(wide, hn::InterleaveUpper(d, x[0], x[1]));
    const auto high_23 = hn::BitCast(wide, hn::InterleaveUpper(d, x[2], x[3]));
    x[0] = hn::BitCast(d, hn::InterleaveLower(wide, low_01, low_23));
    x[1] = hn::BitCast(d, hn::InterleaveUpper(wide, low_01, low_23));
    x[2] = hn::BitCast(d, hn::InterleaveLower(wide, high_01, high_23));
    x[3] = hn::BitCast(d, hn::InterleaveUpper(wide, high_01, high_23));
  }
}
#endif

// to[column * stride + lane] = map(rows[lane][column]) for a vector of rows.
template <class D, class Map, class T = hn::TFromD<D>>
HWY_INLINE void rows_to_lanes(D d, const T* const* rows, int columns, T* to, std::ptrdiff_t stride, const Map& map) {
  int column = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr int kStep = kStrip<D>;
  for (; column + kStep <= columns; column += kStep) {
    hn::Vec<D> x[kStep];
    for (int r = 0; r < kStep; ++r) x[r] = load_strips(d, rows + r, column);
    transpose_blocks(d, x);
    for (int r = 0; r < kStep; ++r) hn::Store(map(x[r]), d, to + (column + r) * stride);
  }
#endif
  for (; column < columns; ++column) {
    T* at = to + column * stride;
    for (int lane = 0; lane < static_cast<int>(hn::Lanes(d)); ++lane) at[lane] = rows[lane][column];
    hn::Store(map(hn::Load(d, at)), d, at);
  }
}

// rows(lane)[c] = x[c]'s lane, of whole vectors. kCount: a multiple of 16 bytes' numbers.
template <int kCount, class D, class Rows>
HWY_INLINE void store_columns(D d, const hn::Vec<D> (&x)[kCount], const Rows& rows) {
#if HWY_TARGET == HWY_SCALAR
  for (int c = 0; c < kCount; ++c) hn::Store(x[c], d, rows(0) + c);
#else
  constexpr int kStep = kStrip<D>;
  static_assert(kCount % kStep == 0);
#pragma GCC unroll 4
  for (int c = 0; c < kCount; c += kStep) {
    hn::Vec<D> strip[kStep];
#pragma GCC unroll 4
    for (int r = 0; r < kStep; ++r) strip[r] = x[c + r];
    transpose_blocks(d, strip);
#pragma GCC unroll 4
    for (int r = 0; r < kStep; ++r) store_strips(d, strip[r], rows, r, c);
  }
#endif
}

// rows[lane][column] = map(from[column * stride + lane]) for the first `count` lanes.
template <class D, class Map, class T = hn::TFromD<D>>
HWY_INLINE void lanes_to_rows(D d, const T* from, std::ptrdiff_t stride, int columns, T* const* rows, int count,
                              const Map& map) {
  int column = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr int kStep = kStrip<D>;
  const auto row = [&](int r) HWY_ATTR { return rows[r]; };
  for (; column + kStep <= columns && count == static_cast<int>(hn::Lanes(d)); column += kStep) {
    hn::Vec<D> x[kStep];
    for (int r = 0; r < kStep; ++r) x[r] = map(hn::Load(d, from + (column + r) * stride));
    transpose_blocks(d, x);
    for (int r = 0; r < kStep; ++r) store_strips(d, x[r], row, r, column);
  }
#endif
  for (; column < columns; ++column) {
    HWY_ALIGN T buffer[hn::MaxLanes(D())];
    hn::Store(map(hn::Load(d, from + column * stride)), d, buffer);
    for (int lane = 0; lane < count; ++lane) rows[lane][column] = buffer[lane];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_TRANSPOSE_INL_H_
