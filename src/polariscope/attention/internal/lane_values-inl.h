// Products of a matrix that lies a head a lane with rows that lie in memory, of whole vectors: they need no
// transposing.

#if defined(POLARISCOPE_ATTENTION_LANE_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_LANE_VALUES_INL_H_
#undef POLARISCOPE_ATTENTION_LANE_VALUES_INL_H_
#else
#define POLARISCOPE_ATTENTION_LANE_VALUES_INL_H_
#endif

#include "polariscope/attention/internal/visible_keys.h"

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the rows of a vector of heads lie in memory: row i of lane l at first[l] + i * stride.
template <class U>
struct LaneRows {
  U* first[hn::MaxLanes(hn::ScalableTag<std::remove_const_t<U>>())];
  std::int64_t stride;
};

// Lane l's matrix: element (r, s) at data[r * row + s * step + l].
template <class T>
struct LaneMatrix {
  const T* data;
  std::ptrdiff_t row, step;
};

// kRows rows and kVectors vectors of weigh_in_place(). The strides are numbers of their own, not members, so that the
// compiler keeps them in registers.
template <int kRows, int kVectors, class D, class T = hn::TFromD<D>>
HWY_INLINE void value_block(D d, const T* weights, std::ptrdiff_t row, std::ptrdiff_t step, int steps, const T* values,
                            std::int64_t values_stride, const T* scale, std::ptrdiff_t scale_row, T* to,
                            std::int64_t to_stride) {
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  hn::Vec<D> sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (int s = 0; s < steps; ++s, weights += step, values += values_stride) {
    hn::Vec<D> value[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) value[v] = hn::LoadU(d, values + v * lanes);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const hn::Vec<D> weight = hn::Set(d, weights[r * row]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const hn::Vec<D> by = hn::Set(d, scale[r * scale_row]);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) hn::StoreU(hn::Mul(by, sum[r][v]), d, to + r * to_stride + v * lanes);
  }
}

// For each of `count` lanes, row first + r of `to` becomes scale(r, 0) Σ_s weights(r, s) values[s] over s in the lane's
// range. width: of whole vectors.
template <class D, class T = hn::TFromD<D>>
HWY_NOINLINE void weigh_in_place(D d, LaneMatrix<T> weights, int rows, const KeyRange* range,
                                 const LaneRows<const T>& values, int width, LaneMatrix<T> scale, const LaneRows<T>& to,
                                 std::int64_t first, int count) {
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int l = 0; l < count; ++l) {
    const int steps = static_cast<int>(range[l].end - range[l].first);
    const T* weight = weights.data + range[l].first * weights.step + l;
    const T* value = values.first[l] + range[l].first * values.stride;
    T* due = to.first[l] + first * to.stride;
    const auto row_block = [&]<int kRows>(int r) HWY_ATTR {
      const auto block = [&]<int kVectors>(int c) HWY_ATTR {
        value_block<kRows, kVectors>(d, weight + r * weights.row, weights.row, weights.step, steps, value + c,
                                     values.stride, scale.data + r * scale.row + l, scale.row, due + r * to.stride + c,
                                     to.stride);
      };
      int c = 0;
      for (; c + 2 * lanes <= width; c += 2 * lanes) block.template operator()<2>(c);
      if (c < width) block.template operator()<1>(c);
    };
    int r = 0;
    for (; r + 4 <= rows; r += 4) row_block.template operator()<4>(r);
    for (; r < rows; ++r) row_block.template operator()<1>(r);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_LANE_VALUES_INL_H_
