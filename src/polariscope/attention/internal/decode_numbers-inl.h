// What decoding multiplies: numbers as they lie in the cache, or a block's copies of them, widened to floats or padded
// to whole vectors.

#if defined(POLARISCOPE_ATTENTION_DECODE_NUMBERS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_DECODE_NUMBERS_INL_H_
#undef POLARISCOPE_ATTENTION_DECODE_NUMBERS_INL_H_
#else
#define POLARISCOPE_ATTENTION_DECODE_NUMBERS_INL_H_
#endif

#include "polariscope/attention/internal/decode_bfloat16.h"
#include "polariscope/attention/internal/decode_products-inl.h"
#include "polariscope/attention/internal/instances-inl.h"
#include "polariscope/attention/internal/unseen-inl.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

HWY_INLINE float widened(float x) { return x; }
HWY_INLINE float widened(Bfloat16 x) {
  const std::uint32_t bits = std::uint32_t{x} << 16;
  float number = 0.0F;
  std::memcpy(&number, &bits, sizeof(number));
  return number;
}

// A row's numbers with zeros up to `padded`.
template <class Number>
HWY_INLINE void copy_row(const Number* from, int width, int padded, Number* to) {
  std::fill(std::copy_n(from, width, to), to + padded, Number(0));
}
HWY_INLINE void copy_row(const Bfloat16* from, int width, int padded, float* to) {
  const FloatLanes d;
  const hn::Rebind<Bfloat16, FloatLanes> low;
  const hn::RebindToUnsigned<FloatLanes> bits;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int c = 0;
  for (; c + lanes <= width; c += lanes) {
    const auto raw = hn::PromoteTo(bits, hn::LoadU(low, from + c));
    hn::Store(hn::BitCast(d, hn::ShiftLeft<16>(raw)), d, to + c);
  }
  for (; c < width; ++c) to[c] = widened(from[c]);
  std::fill(to + width, to + padded, 0.0F);
}

template <class Stored, class Number>
class DecodeNumbers {
 public:
  DecodeNumbers(const AttentionShape& shape, int rows)
      : width_(static_cast<int>(shape.width)), value_width_(static_cast<int>(shape.value_width)) {
    // Bytes are counted in floats: rows are whole cache lines.
    const std::ptrdiff_t queries = std::ptrdiff_t{rows} * padded(width_);
    const std::ptrdiff_t keys = std::ptrdiff_t{kDecodeKeys} * padded(width_);
    const std::ptrdiff_t values = std::ptrdiff_t{kDecodeKeys} * padded(value_width_);
    const std::ptrdiff_t weights = kLow ? std::ptrdiff_t{rows} * kDecodeKeys : 0;
    queries_ = room<Number, 5>(queries + keys + values + weights + padded(value_width_));
    keys_ = queries_ + queries;
    values_ = keys_ + keys;
    weights_ = values_ + values;
    zeros_ = weights_ + weights;
    std::fill_n(zeros_, padded(value_width_), Number(0));
  }

  // Of bfloat16 the scale comes after the products: it would round what is exact.
  void take_query(const float* query, float scale, int r) {
    scale_ = scale;
    Number* to = queries_ + r * padded(width_);
    if constexpr (kLow) {
      float* exact = room<float, 6>(padded(width_));
      copy_row(query, width_, padded(width_), exact);
      round_to_bfloat16(exact, padded(width_), to);
    } else {
      copy_row(query, width_, padded(width_), to);
      for (int c = 0; c < width_; ++c) to[c] *= scale;
    }
  }
  void take_weights(const float* weights, int rows) {
    if constexpr (kLow) round_to_bfloat16(weights, std::int64_t{rows} * kDecodeKeys, weights_);
  }

  // The rows of a block where they can be read in whole vectors; rows: kDecodeKeys of them, of which `count` count.
  const Number* const* keys(const Stored* const* rows, int count) {
    return found(rows, count, width_, keys_, key_rows_);
  }
  const Number* const* values(const Stored* const* rows, int count) {
    const Number* const* all = found(rows, count, value_width_, values_, value_rows_);
    if constexpr (!kLow) return all;
    if (count % 2 == 0) return all;
    if (all != value_rows_) std::copy_n(all, count, value_rows_);
    value_rows_[count] = zeros_;  // beside the odd last one
    return value_rows_;
  }

  bool finite_values(const Number* const* values, int count) const {
    for (int j = 0; j < count; ++j) {
      if constexpr (kLow) {
        constexpr Bfloat16 kExponent = 0x7f80;
        int bad = 0;
        for (int c = 0; c < value_width_; ++c) bad |= (values[j][c] & kExponent) == kExponent ? 1 : 0;
        if (bad != 0) return false;
      } else if (!all_finite(FloatLanes(), values[j], 0, 1, value_width_)) {
        return false;
      }
    }
    return true;
  }

  // Rows [r, r + rows), rows <= kRowsAtOnce. to: of row 0.
  void score(const Number* const* keys, int count, int r, int rows, float* to, const Fetch& fetch) const {
    const Number* query = queries_ + r * padded(width_);
    to += r * kDecodeKeys;
    if constexpr (kLow) {
      bfloat16_score_keys(keys, count, vectors(width_), query, padded(width_), rows, scale_, to, fetch);
    } else {
      with_rows(rows, [&]<int kRows>() {
        score_keys<kRows>(keys, count, vectors(width_), query, padded(width_), to, fetch);
      });
    }
  }
  // weights: of row 0 and the first of these keys, key `first` of the block. to: of row r.
  void add(const Number* const* values, int count, int r, int rows, const float* weights, int first, float* to,
           int stride, const Fetch& fetch) const {
    if constexpr (kLow) {
      bfloat16_add_values(values, count, vectors(value_width_), weights_ + r * kDecodeKeys + first, rows, to, stride,
                          fetch);
    } else {
      with_rows(rows, [&]<int kRows>() {
        add_values<kRows>(values, count, vectors(value_width_), weights + r * kDecodeKeys, to, stride, fetch);
      });
    }
  }

 private:
  static constexpr bool kLow = std::is_same_v<Number, Bfloat16>;
  static int step() { return kLow ? kBfloat16Chunk : static_cast<int>(hn::Lanes(FloatLanes())); }
  static int vectors(int width) { return (width + step() - 1) / step(); }
  // Whole cache lines.
  static int padded(int width) { return (width + kBfloat16Chunk - 1) / kBfloat16Chunk * kBfloat16Chunk; }

  static const Number* const* found(const Stored* const* rows, int count, int width, Number* copies,
                                    const Number** to) {
    if constexpr (std::is_same_v<Stored, Number>) {
      if (width % step() == 0) return rows;
    }
    for (int j = 0; j < kDecodeKeys; ++j) {
      to[j] = copies + std::min(j, count - 1) * padded(width);
      if (j < count) copy_row(rows[j], width, padded(width), copies + j * padded(width));
    }
    return to;
  }

  int width_, value_width_;
  float scale_ = 1.0F;
  Number *queries_, *keys_, *values_, *weights_, *zeros_;
  const Number* key_rows_[kDecodeKeys];
  const Number* value_rows_[kDecodeKeys];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_DECODE_NUMBERS_INL_H_
