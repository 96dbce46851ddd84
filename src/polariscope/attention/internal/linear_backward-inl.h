// The gradients of attention in linear time; equations: linear_kernels.h. Queries take theirs from the sum over the
// keys that they see, as forward; keys and values from the sum over the queries that see them, from the last to the
// first.

#if defined(POLARISCOPE_ATTENTION_LINEAR_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_LINEAR_BACKWARD_INL_H_
#undef POLARISCOPE_ATTENTION_LINEAR_BACKWARD_INL_H_
#else
#define POLARISCOPE_ATTENTION_LINEAR_BACKWARD_INL_H_
#endif

#include "polariscope/attention/internal/features.h"
#include "polariscope/attention/internal/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class T>
class LinearGradient : protected LinearChunks<T> {
 protected:
  using Base = LinearChunks<T>;
  using Base::a_, Base::at_, Base::e_, Base::in_, Base::piece_, Base::task_;
  using typename Base::D;

  LinearGradient(const LinearTask<T>& task, LinearPass pass, const LinearPiece& piece) : Base(task, pass, piece) {}

  int columns() const { return static_cast<int>(at_.spoilt); }  // of c and e that count

  // φ(q), a and e of queries of the piece.
  HWY_INLINE void load_rows(std::int64_t head, std::int64_t from, int count) const {
    this->load_queries(head, from, count);
    for (int i = 0; i < count; ++i) {
      load_upstream(head, piece_.query + from + i, a_ + i * at_.feature_stride, e_ + i * at_.stride);
    }
  }

  // slope(x)·due: φ' of `width` numbers, of which phi is φ.
  HWY_INLINE void pull_through_feature(const T* x, const T* phi, const T* due, T scale, T* to) const {
    for (std::ptrdiff_t i = 0; i < at_.width; ++i) to[i] = due[i] * scale * feature_slope(in_.form, x[i], phi[i]);
  }

 private:
  HWY_INLINE void load_upstream(std::int64_t head, std::int64_t query, const T* a, T* e) const {
    const std::int64_t index = this->row_index(head, query);
    const auto read = [index](const T* array) { return array == nullptr ? T(0) : array[index]; };
    const RowStatistics<T>& is = task_.out.statistics;
    const T inverse = task_.out.inverse[index];
    const T squares = 2 * read(task_.upstream.sum_of_squares);
    const T first = read(task_.upstream.first_key) + read(task_.upstream.first_visible_key);
    const T* d_output = task_.d_output.row(piece_.batch, head, query);
    const T* output = task_.out.output.row(piece_.batch, head, query);

    T coupled = 0;
    if (in_.form.normaliser == reweighting::Normaliser::kSum) {
      for (std::ptrdiff_t i = 0; i < at_.value_width; ++i) coupled += d_output[i] * output[i];
      if (at_.squares) coupled += squares * is.sum_of_squares[index];
      if (task_.upstream.first_key != nullptr) coupled += task_.upstream.first_key[index] * is.first_key[index];
      if (task_.upstream.first_visible_key != nullptr) {
        coupled += task_.upstream.first_visible_key[index] * is.first_visible_key[index];
      }
    }
    T of_mean = 0;
    if (task_.upstream.logit_mean != nullptr) {
      of_mean = task_.upstream.logit_mean[index] / static_cast<T>(visible_keys(in_, piece_.batch, query).end);
    }
    bool in_range = task_.out.shift[index] == T(0);
    for (std::ptrdiff_t i = 0; at_.squares && i < at_.feature_stride; ++i) {
      e[i] = squares * (a[i] * inverse) * inverse;
      in_range = in_range && std::isfinite(e[i]);
    }
    for (std::ptrdiff_t i = 0; i < at_.value_width; ++i) e[at_.values + i] = inverse * d_output[i];
    std::fill(e + at_.one, e + at_.stride, T(0));
    e[at_.one] = of_mean - inverse * coupled;
    e[at_.first] = inverse * first;
    if (!in_range && std::isfinite(inverse) && std::isfinite(squares)) this->leave_range();
  }
};

template <class T>
class LinearQueryGradient : LinearGradient<T> {
  using Base = LinearGradient<T>;
  using Base::at_, Base::b_, Base::c_, Base::due_, Base::e_, Base::piece_, Base::task_;
  using typename Base::D;

 public:
  LinearQueryGradient(const LinearTask<T>& task, const LinearPiece& piece)
      : Base(task, LinearPass::kQueryGradient, piece) {}

  // The sum: Σ c bᵀ, [columns, feature_stride].
  void run(const T* base, T* current) const {
    for (std::int64_t from = 0; from < std::max(piece_.keys, piece_.queries); from += kChunk) {
      const int keys = Base::count(piece_.keys, from), queries = Base::count(piece_.queries, from);
      this->load_keys(from, keys);
      if (base != nullptr) {
        const T* state = this->state(base, current);
        for (std::int64_t g = 0; g < this->group_; ++g) differentiate(this->head(g), from, queries, state);
      }
      if (current != nullptr) {
        this->add_chunk(c_, at_.stride, this->columns(), keys, b_, at_.feature_stride, current, at_.feature_stride);
      }
    }
  }

 private:
  void differentiate(std::int64_t head, std::int64_t from, int count, const T* state) const {
    this->load_rows(head, from, count);
    product<false, false>(D(), Strided<T>{e_, at_.stride, 1}, count, this->columns(), state, at_.feature_stride, due_,
                          at_.feature_stride, this->feature_vectors_);
    if (this->diagonal()) {
      this->multiply(c_, e_, at_.stride, this->columns(), count, this->scores_);
      this->add_seen(this->scores_, count, b_, at_.feature_stride, due_);
    }
    for (int i = 0; i < count; ++i) {
      const std::int64_t query = piece_.query + from + i, row = i * at_.feature_stride;
      this->pull_through_feature(this->in_.query.row(piece_.batch, head, query), this->phi_ + row, due_ + row,
                                 static_cast<T>(this->in_.scale), task_.gradient.query.row(piece_.batch, head, query));
    }
  }
};

template <class T>
class LinearKeyGradient : LinearGradient<T> {
  using Base = LinearGradient<T>;
  using Base::a_, Base::at_, Base::b_, Base::c_, Base::due_, Base::due_values_, Base::e_, Base::lanes_, Base::piece_,
      Base::task_, Base::width_;
  using typename Base::D;

 public:
  LinearKeyGradient(const LinearTask<T>& task, const LinearPiece& piece)
      : Base(task, LinearPass::kKeyGradient, piece) {}

  // The sums: Σ e aᵀ, [columns, feature_stride], and behind it Σ a dOᵀ/n, [width, value_stride].
  void run(const T* base, T* current) const {
    const std::int64_t tokens = std::max(piece_.keys, piece_.queries);
    for (std::int64_t from = (tokens - 1) / kChunk * kChunk; from >= 0; from -= kChunk) {
      const int keys = Base::count(piece_.keys, from), queries = Base::count(piece_.queries, from);
      if (base != nullptr) begin(from, keys, this->state(base, current));
      for (std::int64_t g = 0; queries > 0 && g < this->group_; ++g) {
        this->load_rows(this->head(g), from, queries);
        if (base != nullptr) add_own_chunk(queries);
        if (current != nullptr) add_queries(queries, current);
      }
      if (base != nullptr) write(from, keys);
    }
  }

 private:
  T* of_values(T* state) const { return state + this->columns() * at_.feature_stride; }
  const T* of_values(const T* state) const { return state + this->columns() * at_.feature_stride; }
  int value_vectors() const { return static_cast<int>(at_.value_stride) / lanes_; }

  // What the queries of the chunks behind give.
  void begin(std::int64_t from, int count, const T* state) const {
    const D d;
    this->load_keys(from, count);
    product<false, false>(d, Strided<T>{c_, at_.stride, 1}, count, this->columns(), state, at_.feature_stride, due_,
                          at_.feature_stride, this->feature_vectors_);
    product<false, false>(d, Strided<T>{b_, at_.feature_stride, 1}, count, width_, of_values(state), at_.value_stride,
                          due_values_, at_.value_stride, value_vectors());
  }

  void add_own_chunk(int count) const {
    this->multiply(c_, e_, at_.stride, this->columns(), count, this->scores_);
    this->multiply(b_, a_, at_.feature_stride, width_, count, this->weights_);
    add_seeing(this->scores_, count, a_, at_.feature_stride, due_, at_.feature_stride);
    add_seeing(this->weights_, count, e_ + at_.values, at_.stride, due_values_, at_.value_stride);
  }

  void add_queries(int count, T* current) const {
    this->add_chunk(e_, at_.stride, this->columns(), count, a_, at_.feature_stride, current, at_.feature_stride);
    this->add_chunk(a_, at_.feature_stride, width_, count, e_ + at_.values, at_.stride, of_values(current),
                    at_.value_stride);
  }

  // to[j] += Σ_{i >= j} scores[j][i] rows[i]
  HWY_INLINE void add_seeing(const T* scores, int count, const T* rows, std::ptrdiff_t stride, T* to,
                             std::ptrdiff_t to_stride) const {
    const D d;
    const int vectors = static_cast<int>(to_stride) / lanes_;
    for (int r = 0; r < count; r += kProductRows) {
      const int block = std::min(kProductRows, count - r), behind = r + block;
      for (int j = r; j < behind; ++j) {
        product<true, false>(d, Strided<T>{scores + j * kChunk + j, kChunk, 1}, 1, behind - j, rows + j * stride,
                             stride, to + j * to_stride, to_stride, vectors);
      }
      if (behind < count) {
        product<true, false>(d, Strided<T>{scores + r * kChunk + behind, kChunk, 1}, block, count - behind,
                             rows + behind * stride, stride, to + r * to_stride, to_stride, vectors);
      }
    }
  }

  void write(std::int64_t from, int count) const {
    for (int j = 0; j < count; ++j) {
      const std::int64_t key = piece_.key + from + j, row = j * at_.feature_stride;
      if (task_.gradient.key.data != nullptr) {
        this->pull_through_feature(this->in_.key.row(piece_.batch, piece_.key_head, key), b_ + row, due_ + row, T(1),
                                   task_.gradient.key.row(piece_.batch, piece_.key_head, key));
      }
      if (task_.gradient.value.data != nullptr) {
        std::copy_n(due_values_ + j * at_.value_stride, at_.value_width,
                    task_.gradient.value.row(piece_.batch, piece_.key_head, key));
      }
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_LINEAR_BACKWARD_INL_H_
