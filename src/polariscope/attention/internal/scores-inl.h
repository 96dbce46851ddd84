// The scores of one block of queries against one tile of keys, lanes along queries, and what the block keeps
// for them: queries transposed and mapped, the keys each lane sees.

#if defined(POLARISCOPE_ATTENTION_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_SCORES_INL_H_
#undef POLARISCOPE_ATTENTION_SCORES_INL_H_
#else
#define POLARISCOPE_ATTENTION_SCORES_INL_H_
#endif

#include "polariscope/attention/attend.h"
#include "polariscope/attention/internal/bfloat16.h"
#include "polariscope/attention/internal/blocks.h"
#include "polariscope/attention/internal/features.h"
#include "polariscope/attention/internal/products-inl.h"
#include "polariscope/attention/internal/tile-inl.h"
#include "polariscope/attention/internal/visible_keys.h"
#include "polariscope/attention/transpose-inl.h"

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// φ of the queries and keys.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V map_vector(D d, const reweighting::AttentionForm& form, V x) {
  const V zero = hn::Zero(d);
  switch (form.feature) {
    case reweighting::FeatureMap::kRelu: {
      const V offset = hn::Set(d, static_cast<hn::TFromD<D>>(form.feature_offset));
      return hn::Add(hn::IfThenElse(hn::Lt(x, zero), zero, x), offset);
    }
    case reweighting::FeatureMap::kElu1: return Elu1Function::weight(SimdMath<D>(), x);
    case reweighting::FeatureMap::kNone: break;
  }
  return x;
}

// NaN for an infinity.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V nan_for_infinity(D d, V z) {
  return hn::MulAdd(z, hn::Zero(d), z);
}

// What log-n scaling multiplies the scores of a row by, which sees `count` keys; log M of M keys.
template <class T>
T log_factor(const reweighting::AttentionForm& form, std::int64_t count) {
  return static_cast<T>(form.transform_factor * std::log(std::max(static_cast<double>(count), 1.0)));
}
template <class T>
T log_of_keys(std::int64_t keys) {
  return static_cast<T>(std::log(std::max(static_cast<double>(keys), 1.0)));
}

// T of scores. hides: whether there may be hidden keys among them, whose other scores have no infinity then. by,
// log_keys: as above.
template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V transformed(D d, const reweighting::AttentionForm& form, V raw, bool hides, V by, V log_keys) {
  const V factor = hn::Set(d, static_cast<T>(form.transform_factor));
  const V s = hides ? raw : nan_for_infinity(d, raw);  // before a cap makes it finite
  V z = s;
  if (form.transform == reweighting::Transform::kSoftCap) z = hn::Mul(factor, hn::Tanh(d, hn::Div(s, factor)));
  if (form.transform == reweighting::Transform::kLogCount) {
    z = hn::Clamp(hn::Mul(by, s), hn::Set(d, kLowest<T>), hn::Set(d, std::numeric_limits<T>::max()));
  }
  if (form.transform == reweighting::Transform::kMinusLogKeys) z = hn::Sub(s, log_keys);
  return hn::IfThenElse(hn::IsFinite(s), z, s);
}

template <class T>
class Scores {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  Scores(const AttentionInput<T>& input, const QueryBlock& block, const BlockWorkspace<T>& work)
      : in_(input),
        block_(block),
        work_(work),
        lanes_(static_cast<int>(hn::Lanes(D()))),
        width_(block.vectors * lanes_) {
    begin_ = std::numeric_limits<std::int64_t>::max();
    all_first_ = 0;
    all_end_ = std::numeric_limits<std::int64_t>::max();
    for (int q = 0; q < width_; ++q) {
      const KeyRange seen = visible_keys(input, block.batch, query(q));
      work.first[q] = static_cast<T>(seen.first);
      work.end[q] = static_cast<T>(seen.end);
      own_[q] = static_cast<T>(own_key(input, block.batch, query(q)));
      count_[q] = visible_count(input, block.batch, block.head, query(q), seen);
      if (seen.end > seen.first) begin_ = std::min(begin_, seen.first);
      end_ = std::max(end_, seen.end);
      all_first_ = std::max(all_first_, seen.first);
      all_end_ = std::min(all_end_, seen.end);
    }
    begin_ = std::min(begin_, end_);
    if (block.low != nullptr) begin_ -= begin_ % 2;  // values come in pairs of keys
    gather_queries();
  }

  int width() const { return width_; }
  std::int64_t begin() const { return begin_; }  // keys that some lane sees
  std::int64_t end() const { return end_; }

  // Whether some lane does not see some key of [key, key + keys).
  bool hides(std::int64_t key, int keys) const {
    return in_.bias.data != nullptr || key < all_first_ || key + keys > all_end_;
  }

  // Whether a lane sees a key, for the few times that one must be asked about.
  bool sees(int lane, std::int64_t key) const {
    const T at = static_cast<T>(key);
    if (at < work_.first[lane] || at >= work_.end[lane]) return false;
    return in_.bias.data == nullptr || in_.bias.row(block_.batch, block_.head, query(lane))[key] != kHidden<T>;
  }

  // z of keys [key, key + keys), [keys, W]; hidden ones are minus infinity. Marks rows that hold a score that is
  // not finite where it could be taken for a hidden one.
  HWY_INLINE void compute(std::int64_t key, int keys, T* to, Ahead* ahead = nullptr) {
    const D d;
    if (!multiply_low(key, keys, to)) {
      product<false, false>(d, mapped_keys(key, keys), keys, static_cast<int>(in_.shape.width), work_.query, width_, to,
                            width_, block_.vectors, ahead);
    }
    const bool crosses = key < all_first_ || key + keys > all_end_;
    for (int c = 0; c < block_.vectors; ++c) {
      const Column<T> column{to + c * lanes_, width_, keys};
      if (crosses) {
        const V spoilt = hide_outside(d, column, static_cast<T>(key), hn::Load(d, work_.first + c * lanes_),
                                      hn::Load(d, work_.end + c * lanes_));
        if (in_.bias.data == nullptr) running(c).add(kSpoilt, spoilt);  // a bias may hide what is none
      }
      if (in_.slopes != nullptr) add_distance(column, key, c);
      if (in_.bias.data != nullptr) add_bias(column, key, c, crosses);
      if (in_.form.transform != reweighting::Transform::kNone) transform(column, c, hides(key, keys));
    }
  }

  // z of the keys [begin, end), [keys, W], for kernels that take minus infinity for a hidden key wherever it stands: an
  // infinite score of a seen one is NaN.
  HWY_INLINE void compute_all(T* to) {
    const D d;
    for (std::int64_t key = begin_; key < end_; key += kTileKeys, to += kTileKeys * width_) {
      const int keys = static_cast<int>(std::min<std::int64_t>(kTileKeys, end_ - key));
      compute(key, keys, to);
      if (hides(key, keys)) continue;
      for (T* at = to; at != to + keys * width_; at += lanes_) hn::Store(nan_for_infinity(d, hn::Load(d, at)), d, at);
    }
  }

  HWY_INLINE Running<D> running(int column) const { return Running<D>(work_.running + column * lanes_, width_); }

  // ∂z/∂s at z.
  HWY_INLINE V transform_slope(V z, int column) const {
    const D d;
    const V factor = hn::Set(d, static_cast<T>(in_.form.transform_factor));
    switch (in_.form.transform) {
      case reweighting::Transform::kSoftCap: {
        const V part = hn::Div(z, factor);
        return hn::NegMulAdd(part, part, hn::Set(d, 1));
      }
      case reweighting::Transform::kLogCount: return log_count(column);
      default: return hn::Set(d, 1);
    }
  }

  // dz ∂z/∂c at z, c the transform's factor; 0 for a hidden key. Of a soft cap ∂z/∂c is t - u (1 - t²), t = tanh u =
  // z/c.
  HWY_INLINE V due_to_factor(V z, V dz) const {
    const D d;
    if (in_.form.transform != reweighting::Transform::kSoftCap &&
        in_.form.transform != reweighting::Transform::kLogCount)
      return hn::Zero(d);
    V slope = hn::Div(z, hn::Set(d, static_cast<T>(in_.form.transform_factor)));
    if (in_.form.transform == reweighting::Transform::kSoftCap) {
      constexpr T kBelowOne = 1 - std::numeric_limits<T>::epsilon() / 2;
      const V t = hn::Min(hn::Abs(slope), hn::Set(d, kBelowOne));
      const V flat = hn::NegMulAdd(t, t, hn::Set(d, 1));
      slope = hn::CopySign(hn::NegMulAdd(hn::Atanh(d, t), flat, t), slope);
    }
    return kept<true>(d, z, hn::Mul(dz, slope));
  }

  const T* query_row(int lane) const { return in_.query.row(block_.batch, block_.head, query(lane)); }
  std::int64_t query(int lane) const { return block_.first + std::min(lane, block_.count - 1); }

  // φ of a tile's keys, [keys, width].
  HWY_INLINE Strided<T> mapped_keys(std::int64_t key, int keys) const {
    const T* first = in_.key.row(block_.batch, block_.key_head, key);
    if (in_.form.feature == reweighting::FeatureMap::kNone) return {first, in_.key.row_stride, 1};
    for (int j = 0; j < keys; ++j) {
      for (int i = 0; i < in_.shape.width; ++i) {
        work_.mapped[j * work_.mapped_stride + i] = map_feature(in_.form, first[j * in_.key.row_stride + i]);
      }
    }
    return {work_.mapped, work_.mapped_stride, 1};
  }

  const QueryBlock& block() const { return block_; }

 private:
  // The products with keys of bfloat16, where those are to be taken.
  HWY_INLINE bool multiply_low(std::int64_t key, int keys, T* to) const {
    if constexpr (std::is_same_v<T, float>) {
      if (block_.low == nullptr) return false;
      bfloat16_scores(block_.low->keys(block_.batch, block_.key_head, key), keys, block_.low->width_pairs(),
                      work_.query, static_cast<float>(in_.scale), to, block_.vectors);
      return true;
    }
    return false;
  }

  // φ(q)·scale, transposed: [width, lanes]. Of bfloat16 the scale comes after the products: it would round what is
  // exact.
  HWY_INLINE void gather_queries() const {
    const D d;
    const V scale = hn::Set(d, static_cast<T>(block_.low == nullptr ? in_.scale : 1.0));
    for (int c = 0; c < block_.vectors; ++c) {
      const T* rows[hn::MaxLanes(D())];
      for (int q = 0; q < lanes_; ++q) rows[q] = query_row(c * lanes_ + q);
      const auto mapped = [&](V x) HWY_ATTR { return hn::Mul(scale, map_vector(d, in_.form, x)); };
      rows_to_lanes(d, rows, static_cast<int>(in_.shape.width), work_.query + c * lanes_, width_, mapped);
    }
    if constexpr (std::is_same_v<T, float>) {
      if (block_.low != nullptr) pack_rows(work_.query, static_cast<int>(in_.shape.width), block_.vectors);
    }
  }

  HWY_INLINE void add_distance(Column<T> column, std::int64_t key, int c) const {
    const D d;
    const V slope = hn::Set(d, in_.slopes[block_.head]);
    const V own = hn::LoadU(d, own_ + c * lanes_);
    for (int j = 0; j < column.keys; ++j) {
      T* at = column.data + j * column.stride;
      const V distance = hn::Abs(hn::Sub(own, hn::Set(d, static_cast<T>(key + j))));
      hn::Store(hn::NegMulAdd(slope, distance, hn::Load(d, at)), d, at);
    }
  }

  // A bias of minus infinity hides its key, whatever its score. Where nothing was hidden before, a score of minus
  // infinity is none.
  void add_bias(Column<T> column, std::int64_t key, int c, bool some_hidden) const {
    for (int q = 0; q < lanes_; ++q) {
      const T* bias = in_.bias.row(block_.batch, block_.head, query(c * lanes_ + q)) + key;
      for (int j = 0; j < column.keys; ++j) {
        T& z = column.data[j * column.stride + q];
        T& spoilt = work_.running[kSpoilt * width_ + c * lanes_ + q];
        if (some_hidden && z == kHidden<T>) continue;
        if (bias[j] == kHidden<T>) {
          z = kHidden<T>;
          continue;
        }
        z += bias[j];
        z += z * T(0);  // NaN for an infinity
        spoilt += z * T(0);
      }
    }
  }

  HWY_INLINE V log_count(int column) const {
    T numbers[hn::MaxLanes(D())];
    for (int q = 0; q < lanes_; ++q) numbers[q] = log_factor<T>(in_.form, count_[column * lanes_ + q]);
    return hn::LoadU(D(), numbers);
  }

  // hides: whether the tile may hold hidden keys, whose other scores have no infinity then.
  HWY_INLINE void transform(Column<T> column, int c, bool hides) const {
    const D d;
    const V log_keys = hn::Set(d, log_of_keys<T>(key_length(in_, block_.batch)));
    const V by = log_count(c);
    for (int j = 0; j < column.keys; ++j) {
      T* at = column.data + j * column.stride;
      hn::Store(transformed(d, in_.form, hn::Load(d, at), hides, by, log_keys), d, at);
    }
  }

  const AttentionInput<T>& in_;
  QueryBlock block_;
  const BlockWorkspace<T>& work_;
  int lanes_, width_;
  std::int64_t begin_, end_ = 0, all_first_, all_end_;
  T own_[kMaxBlockWidth];
  std::int64_t count_[kMaxBlockWidth];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_SCORES_INL_H_
