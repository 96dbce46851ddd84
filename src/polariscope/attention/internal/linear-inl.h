// The forward pass of attention in linear time, a chunk of rows at a time; equations: linear_kernels.h. Queries see the
// keys of the chunks before through their sum; those of their own chunk, under a causal mask, pair by pair. A pair that
// does not see each other is never multiplied: what is not finite stays where it is seen.

#if defined(POLARISCOPE_ATTENTION_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_LINEAR_INL_H_
#undef POLARISCOPE_ATTENTION_LINEAR_INL_H_
#else
#define POLARISCOPE_ATTENTION_LINEAR_INL_H_
#endif

#include "polariscope/attention/internal/instances-inl.h"
#include "polariscope/attention/internal/linear_kernels.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/visible_keys.h"

#include <algorithm>
#include <cmath>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

inline constexpr int kChunk = 64;

// a·b over whole vectors of aligned rows.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE T dot(D d, const T* a, const T* b, std::ptrdiff_t count) {
  const auto lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  hn::Vec<D> sum[kChains];
  for (hn::Vec<D>& chain : sum) chain = hn::Zero(d);
  for_each_key(static_cast<int>(count / lanes), [&](int i, int k) HWY_ATTR {
    sum[k] = hn::MulAdd(hn::Load(d, a + i * lanes), hn::Load(d, b + i * lanes), sum[k]);
  });
  return hn::GetLane(hn::SumOfLanes(d, total_of(sum)));
}

// What the passes share: rows of a chunk in this thread's memory.
template <class T>
class LinearChunks {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  LinearChunks(const LinearTask<T>& task, LinearPass pass, const LinearPiece& piece)
      : task_(task), in_(task.in), at_(task.layout), piece_(piece), size_(at_.state_size(pass)) {
    lanes_ = static_cast<int>(hn::Lanes(D()));
    feature_vectors_ = static_cast<int>(at_.feature_stride) / lanes_;
    vectors_ = static_cast<int>(at_.stride) / lanes_;
    width_ = static_cast<int>(at_.width);
    group_ = in_.shape.heads / in_.shape.key_heads;
    const std::ptrdiff_t features = kChunk * at_.feature_stride, rows = kChunk * at_.stride;
    T* next = room<T, 4>(4 * features + 2 * rows + kChunk * (at_.stride + 2 * kChunk) + kChunk * at_.value_stride +
                         (size_ + kChunk) / kChunk * kChunk);
    const auto take = [&](std::ptrdiff_t count) {
      T* part = next;
      next += count;
      return part;
    };
    b_ = take(features), phi_ = take(features), a_ = take(features), due_ = take(features);
    c_ = take(rows), e_ = take(rows);
    across_ = take(kChunk * std::max(at_.stride, at_.feature_stride));
    scores_ = take(kChunk * kChunk), weights_ = take(kChunk * kChunk);
    due_values_ = take(kChunk * at_.value_stride);
    sum_ = take(size_);
  }

 protected:
  std::int64_t head(std::int64_t in_group) const { return piece_.key_head * group_ + in_group; }
  std::int64_t row_index(std::int64_t head, std::int64_t query) const {
    return (piece_.batch * in_.shape.heads + head) * in_.shape.queries + query;
  }
  bool diagonal() const { return piece_.keys > 0 && piece_.queries > 0; }
  static int count(std::int64_t all, std::int64_t from) {
    return static_cast<int>(std::clamp<std::int64_t>(all - from, 0, kChunk));
  }

  // φ of a row, zeros up to whole cache lines.
  HWY_INLINE void map(const T* from, T* to) const {
    const D d;
    int i = 0;
    for (; i + lanes_ <= width_; i += lanes_) hn::Store(map_vector(d, in_.form, hn::LoadU(d, from + i)), d, to + i);
    std::fill(to + i, to + at_.feature_stride, T(0));
    if (i == width_) return;
    std::copy(from + i, from + width_, to + i);
    const V mapped = map_vector(d, in_.form, hn::Load(d, to + i));
    hn::Store(hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(width_ - i)), mapped), d, to + i);
  }

  // b and c of keys `from` to from + count of the piece.
  HWY_INLINE void load_keys(std::int64_t from, int count) const {
    for (int j = 0; j < count; ++j) {
      const std::int64_t key = piece_.key + from + j;
      T* b = b_ + j * at_.feature_stride;
      T* c = c_ + j * at_.stride;
      const std::int64_t next = std::min(key + kChunk, piece_.key + piece_.keys - 1);
      fetch(in_.key.row(piece_.batch, piece_.key_head, next), at_.width);
      fetch(in_.value.row(piece_.batch, piece_.key_head, next), at_.value_width);
      map(in_.key.row(piece_.batch, piece_.key_head, key), b);
      if (at_.squares) std::copy_n(b, at_.feature_stride, c);
      std::copy_n(in_.value.row(piece_.batch, piece_.key_head, key), at_.value_width, c + at_.values);
      std::fill(c + at_.one, c + at_.stride, T(0));
      c[at_.one] = 1;
      c[at_.first] = key == 0 ? T(1) : T(0);
      c[at_.spoilt] = nothing_or_nan(b);
    }
  }

  // φ(q) and a of queries of the piece.
  HWY_INLINE void load_queries(std::int64_t head, std::int64_t from, int count) const {
    const D d;
    const V scale = hn::Set(d, static_cast<T>(in_.scale));
    for (int i = 0; i < count; ++i) {
      T* phi = phi_ + i * at_.feature_stride;
      T* a = a_ + i * at_.feature_stride;
      const std::int64_t query = piece_.query + from + i;
      fetch(in_.query.row(piece_.batch, head, std::min(query + kChunk, piece_.query + piece_.queries - 1)), at_.width);
      map(in_.query.row(piece_.batch, head, query), phi);
      for (int k = 0; k < at_.feature_stride; k += lanes_) hn::Store(hn::Mul(scale, hn::Load(d, phi + k)), d, a + k);
    }
  }

  // scores_[j][i] = Σ_k of keys[j] rows[i] over k in [0, steps), [kChunk, kChunk].
  HWY_INLINE void multiply(const T* keys, const T* rows, std::ptrdiff_t stride, int steps, int count, T* scores) const {
    const D d;
    const auto same = [](V x) HWY_ATTR { return x; };
    for (int first = 0; first < count; first += lanes_) {
      const T* each[hn::MaxLanes(D())];
      for (int i = 0; i < lanes_; ++i) each[i] = rows + std::min(first + i, count - 1) * stride;
      rows_to_lanes(d, each, steps, across_ + first, kChunk, same);
    }
    product<false, false>(d, Strided<T>{keys, stride, 1}, count, steps, across_, kChunk, scores, kChunk,
                          (count + lanes_ - 1) / lanes_);
  }

  // to[i] += Σ_{j <= i} scores[j][i] rows[j]
  HWY_INLINE void add_seen(const T* scores, int count, const T* rows, std::ptrdiff_t stride, T* to) const {
    const D d;
    const int vectors = static_cast<int>(stride) / lanes_;
    for (int r = 0; r < count; r += kProductRows) {
      const int block = std::min(kProductRows, count - r);
      if (r > 0) {
        product<true, true>(d, Strided<T>{scores + r, 1, kChunk}, block, r, rows, stride, to + r * stride, stride,
                            vectors);
      }
      for (int i = r; i < r + block; ++i) {
        product<true, true>(d, Strided<T>{scores + r * kChunk + i, 1, kChunk}, 1, i - r + 1, rows + r * stride, stride,
                            to + i * stride, stride, vectors);
      }
    }
  }

  // state[r] += Σ_s left[s][r] right[s] over a chunk, whose sum begins at zero: a chain as long as the piece would
  // gather its rounding errors.
  HWY_INLINE void add_chunk(const T* left, std::ptrdiff_t left_stride, int rows, int count, const T* right,
                            std::ptrdiff_t right_stride, T* state, std::ptrdiff_t stride) const {
    const D d;
    product<false, true>(d, Strided<T>{left, 1, left_stride}, rows, count, right, right_stride, sum_, stride,
                         static_cast<int>(stride) / lanes_);
    for (std::ptrdiff_t i = 0; i < rows * stride; i += lanes_) {
      hn::Store(hn::Add(hn::Load(d, state + i), hn::Load(d, sum_ + i)), d, state + i);
    }
  }

  // Σ of what precedes the piece and of what precedes the chunk in it.
  HWY_INLINE const T* state(const T* base, const T* current) const {
    if (current == nullptr) return base;
    const D d;
    for (std::ptrdiff_t i = 0; i < size_; i += lanes_) {
      hn::Store(hn::Add(hn::Load(d, base + i), hn::Load(d, current + i)), d, sum_ + i);
    }
    return sum_;
  }

  void leave_range() const { task_.out_of_range.store(true, std::memory_order_relaxed); }

  const LinearTask<T>& task_;
  const AttentionInput<T>& in_;
  const LinearLayout<T>& at_;
  const LinearPiece& piece_;
  std::ptrdiff_t size_;
  int lanes_, feature_vectors_, vectors_, width_;
  std::int64_t group_;
  T *b_, *phi_, *a_, *due_;  // [kChunk, feature_stride]
  T *c_, *e_;                // [kChunk, stride]
  T* across_;                // rows along the lanes
  T *scores_, *weights_;     // [kChunk, kChunk]
  T* due_values_;            // [kChunk, value_stride]
  T* sum_;

 private:
  // Asks for what the next chunk will read: nothing here takes so long as to wait for it.
  static HWY_INLINE void fetch(const T* row, std::ptrdiff_t width) {
    for (std::ptrdiff_t i = 0; i < width; i += 64 / sizeof(T)) __builtin_prefetch(row + i, 0, 2);
  }
  // 0·Σ b: 0, or NaN.
  HWY_INLINE T nothing_or_nan(const T* b) const {
    const D d;
    const V zero = hn::Zero(d);
    V sum = zero;
    for (int i = 0; i < at_.feature_stride; i += lanes_) sum = hn::MulAdd(zero, hn::Load(d, b + i), sum);
    return hn::GetLane(hn::SumOfLanes(d, sum));
  }
};

template <class T>
class LinearForward : LinearChunks<T> {
  using Base = LinearChunks<T>;
  using Base::a_, Base::at_, Base::b_, Base::c_, Base::e_, Base::in_, Base::piece_, Base::task_, Base::width_;
  using typename Base::D;

 public:
  LinearForward(const LinearTask<T>& task, const LinearPiece& piece) : Base(task, LinearPass::kForward, piece) {}

  void run(const T* base, T* current) const {
    for (std::int64_t from = 0; from < std::max(piece_.keys, piece_.queries); from += kChunk) {
      const int keys = Base::count(piece_.keys, from), queries = Base::count(piece_.queries, from);
      this->load_keys(from, keys);
      if (base != nullptr) {
        const T* state = this->state(base, current);
        for (std::int64_t g = 0; g < this->group_; ++g) see(this->head(g), from, queries, state);
      }
      if (current != nullptr) {
        this->add_chunk(b_, at_.feature_stride, width_, keys, c_, at_.stride, current, at_.stride);
      }
    }
  }

 private:
  // The rows of a chunk's queries, in e_.
  void see(std::int64_t head, std::int64_t from, int count, const T* state) const {
    const D d;
    this->load_queries(head, from, count);
    product<false, false>(d, Strided<T>{a_, at_.feature_stride, 1}, count, width_, state, at_.stride, e_, at_.stride,
                          this->vectors_);
    // All is divided by Σ w, which the product has in one chain.
    T* sums = this->due_;
    std::fill_n(sums, at_.feature_stride, T(0));
    for (int k = 0; k < width_; ++k) sums[k] = state[k * at_.stride + at_.one];
    for (int i = 0; i < count; ++i) {
      e_[i * at_.stride + at_.one] = dot(d, a_ + i * at_.feature_stride, sums, at_.feature_stride);
    }
    if (this->diagonal()) {
      this->multiply(b_, a_, at_.feature_stride, width_, count, this->scores_);
      this->add_seen(this->scores_, count, c_, at_.stride, e_);
    }
    for (int i = 0; i < count; ++i) {
      write(head, piece_.query + from + i, e_ + i * at_.stride, a_ + i * at_.feature_stride);
    }
  }

  T inverse_of(T total) const {
    if (in_.form.normaliser == reweighting::Normaliser::kNone) return 1;
    total += static_cast<T>(in_.form.sum_offset);
    return std::abs(total) < std::numeric_limits<T>::min() ? T(0) : 1 / total;
  }

  void write(std::int64_t head, std::int64_t query, const T* row, const T* a) const {
    const T spoilt = row[at_.spoilt], total = row[at_.one];
    const T inverse = spoilt + inverse_of(total);
    const T squares = at_.squares ? dot(D(), row, a, at_.feature_stride) : T(0);
    if (spoilt == T(0) && !(std::isfinite(total) && std::isfinite(squares))) this->leave_range();
    T* output = task_.out.output.row(piece_.batch, head, query);
    for (std::ptrdiff_t i = 0; i < at_.value_width; ++i) output[i] = row[at_.values + i] * inverse;

    const KeyRange seen = visible_keys(in_, piece_.batch, query);
    const RowStatistics<T>& to = task_.out.statistics;
    const std::int64_t index = this->row_index(head, query);
    const auto give = [index](auto* array, auto value) {
      if (array != nullptr) array[index] = static_cast<std::remove_pointer_t<decltype(array)>>(value);
    };
    give(to.sum_of_squares, squares * inverse * inverse);
    give(to.first_key, row[at_.first] * inverse);
    give(to.first_visible_key, row[at_.first] * inverse);  // without a window or a bias it is key 0
    give(to.row_sum, total + spoilt);
    give(to.log_sum_exp, std::numeric_limits<T>::quiet_NaN());
    give(to.logit_mean, total / static_cast<T>(seen.end) + spoilt);
    give(to.visible, seen.end);
    give(to.non_finite, std::isnan(spoilt) ? 1 : 0);
    give(task_.out.shift, T(0));
    give(task_.out.inverse, inverse);
    give(task_.out.mass, std::abs(total) + spoilt);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_LINEAR_INL_H_
