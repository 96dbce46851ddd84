// One item of decoding: a few rows past a split of a key head's keys. Lanes are keys: each lane keeps the running sums
// of its own, as if it were a row of its own, with the shift that is the row's.

#if defined(POLARISCOPE_ATTENTION_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_DECODE_INL_H_
#undef POLARISCOPE_ATTENTION_DECODE_INL_H_
#else
#define POLARISCOPE_ATTENTION_DECODE_INL_H_
#endif

#include "polariscope/attention/finish-inl.h"
#include "polariscope/attention/internal/cache_rows.h"
#include "polariscope/attention/internal/decode_merge-inl.h"
#include "polariscope/attention/internal/decode_numbers-inl.h"
#include "polariscope/attention/internal/decode_rows-inl.h"

#include <algorithm>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

// Stored: what the cache holds. Number: what is multiplied.
template <class Stored, class Number>
class Decoding {
 public:
  Decoding(const AttentionInput<float>& in, const Wanted& wanted, const DecodePlan& plan, const DecodeItem& item,
           const HeadsView<const Stored>& key, const HeadsView<const Stored>& value)
      : in_(in),
        wanted_(wanted),
        item_(item),
        keys_(key, in.table, item.batch, item.key_head),
        values_(value, in.table, item.batch, item.key_head),
        stride_(static_cast<int>(plan.padded_width())),
        rows_(in, item),
        room_(in.shape, item.rows, stride_) {}

  void run(const DecodePlan& plan, const DecodePartials& to) {
    if (to.first != nullptr) rows_.look_for_first();
    begin();
    const std::int64_t first = rows_.begin() - rows_.begin() % kDecodeKeys;
    for (std::int64_t key = first; key < rows_.end(); key += kDecodeKeys) {
      pass(key, static_cast<int>(std::min<std::int64_t>(kDecodeKeys, rows_.end() - key)));
    }
    leave_states(item_, plan, room_.running, room_.lanes, to);
    for (int r = 0; r < item_.rows; ++r) {
      const std::int64_t row = item_.first_row + r;
      std::copy_n(room_.output + r * stride_, stride_,
                  to.outputs + (item_.split * plan.rows() + row) * plan.padded_width());
      if (rows_.found_first(r)) to.first[row] = rows_.first_score(r);
    }
  }

 private:
  using D = FloatLanes;
  using V = hn::Vec<D>;
  // Keys that pass all rows before the next do, from the first-level cache.
  static constexpr int kKeysOfRound = 32;
  // Memory is asked for rows that many keys before they are needed, as the processor alone would not across pages and
  // rows that lie apart.
  static constexpr int kRowsAhead = 64;

  SharedRunning<D> running(int r) const {
    const auto lanes = static_cast<std::ptrdiff_t>(hn::Lanes(D()));
    return {room_.running + r * kQuantities * lanes, lanes};
  }

  void begin() {
    for (int r = 0; r < item_.rows; ++r) {
      const float* query = in_.query.row(item_.batch, rows_.head(r), rows_.query(r));
      room_.numbers.take_query(query, static_cast<float>(in_.scale), r);
      auto row = running(r);
      clear_row<true>(D(), row, hn::Set(D(), has_sink(in_) ? sink_score(in_, rows_.head(r)) : kLowest<float>));
    }
    std::fill_n(room_.output, item_.rows * stride_, 0.0F);
  }

  // The rows of a block's keys and of those that come next; the last is repeated.
  void find(const CacheRows<Stored>& cache, std::int64_t key, const Stored** rows) const {
    const int count = static_cast<int>(std::min<std::int64_t>(kDecodeKeys + kRowsAhead, rows_.end() - key));
    cache.find(key, count, rows);
    std::fill(rows + count, rows + kDecodeKeys + kRowsAhead, rows[count - 1]);
  }

  // One block of keys and their values.
  void pass(std::int64_t key, int count) {
    find(keys_, key, key_rows_);
    find(values_, key, value_rows_);
    score(count);
    bool some_hidden = false;
    for (int r = 0; r < item_.rows; ++r) {
      weigh_row(r, key, count);
      some_hidden |= rows_.hides(r, key, count);
    }
    add(count, some_hidden);
  }

  // What the first rows ask of memory while they take these keys: those that come next.
  static Fetch ahead(const Stored* const* rows, int r) {
    if (r > 0) return {};
    return {reinterpret_cast<const void* const*>(rows + kRowsAhead), static_cast<int>(sizeof(Stored))};
  }

  void score(int count) {
    const Number* const* keys = room_.numbers.keys(key_rows_, count);
    for (int j = 0; j < count; j += kKeysOfRound) {
      const int keys_of_round = std::min(kKeysOfRound, (count - j + kDecodeKeysAtOnce - 1) & -kDecodeKeysAtOnce);
      for (int r = 0; r < item_.rows; r += kRowsAtOnce) {
        room_.numbers.score(keys + j, keys_of_round, r, std::min(kRowsAtOnce, item_.rows - r), room_.scores + j,
                            ahead(key_rows_ + j, r));
      }
    }
  }

  void weigh_row(int r, std::int64_t key, int count) {
    const D d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    float* scores = room_.scores + r * kDecodeKeys;
    float* weights = room_.weights + r * kDecodeKeys;
    auto row = running(r);
    const bool masked = rows_.complete(r, key, count, scores, row);
    const Column<float> column{scores, lanes, (count + lanes - 1) / lanes};
    const std::int64_t vector = key / lanes;
    const auto key_0 = static_cast<float>(vector);
    const bool rescaled = masked ? weigh<ExpFunction, true>(d, column, weights, key_0, wanted_, row)
                                 : weigh<ExpFunction, false>(d, column, weights, key_0, wanted_, row);
    if (rescaled) {
      float* to = room_.output + r * stride_;
      const V by = row.get(kRescale);
      for (int c = 0; c < stride_; c += lanes) hn::Store(hn::Mul(hn::Load(d, to + c), by), d, to + c);
    }
  }

  // some_hidden: whether some row does not see some key. 0 stands for its weight there, but 0 · NaN is NaN.
  void add(int count, bool some_hidden) {
    const Number* const* values = room_.numbers.values(value_rows_, count);
    if (some_hidden && !room_.numbers.finite_values(values, count)) return add_seen(values, count);
    room_.numbers.take_weights(room_.weights, item_.rows);
    for (int j = 0; j < count; j += kKeysOfRound) {
      for (int r = 0; r < item_.rows; r += kRowsAtOnce) {
        room_.numbers.add(values + j, std::min(kKeysOfRound, count - j), r, std::min(kRowsAtOnce, item_.rows - r),
                          room_.weights + j, j, room_.output + r * stride_, stride_, ahead(value_rows_ + j, r));
      }
    }
  }

  HWY_NOINLINE void add_seen(const Number* const* values, int count) {
    for (int r = 0; r < item_.rows; ++r) {
      float* to = room_.output + r * stride_;
      for (int j = 0; j < count; ++j) {
        if (room_.scores[r * kDecodeKeys + j] == kHidden<float>) continue;
        const float weight = room_.weights[r * kDecodeKeys + j];
        for (std::int64_t c = 0; c < in_.shape.value_width; ++c) to[c] += weight * widened(values[j][c]);
      }
    }
  }

  // What this thread keeps for an item.
  struct Room {
    Room(const AttentionShape& shape, int rows, int stride)
        : lanes(static_cast<int>(hn::Lanes(D()))), numbers(shape, rows) {
      const std::ptrdiff_t block = std::ptrdiff_t{rows} * kDecodeKeys;
      const std::ptrdiff_t sums = std::ptrdiff_t{rows} * kQuantities * lanes;
      scores = room<float, 4>(2 * block + rows * std::ptrdiff_t{stride} + sums);
      weights = scores + block;
      output = weights + block;
      running = output + rows * std::ptrdiff_t{stride};
    }
    int lanes;
    DecodeNumbers<Stored, Number> numbers;
    float *scores, *weights;  // [rows, kDecodeKeys]
    float* output;            // [rows, stride]
    float* running;           // [rows, kQuantities, lanes]
  };

  const AttentionInput<float>& in_;
  const Wanted& wanted_;
  const DecodeItem& item_;
  CacheRows<Stored> keys_, values_;
  int stride_;
  RowsOfItem rows_;
  Room room_;
  const Stored* key_rows_[kDecodeKeys + kRowsAhead];
  const Stored* value_rows_[kDecodeKeys + kRowsAhead];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_DECODE_INL_H_
