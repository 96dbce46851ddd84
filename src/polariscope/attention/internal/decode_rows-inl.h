// The rows of an item of decoding, a row's keys along the lanes: which they see, and what becomes of their scores
// before they are weighed.

#if defined(POLARISCOPE_ATTENTION_DECODE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_DECODE_ROWS_INL_H_
#undef POLARISCOPE_ATTENTION_DECODE_ROWS_INL_H_
#else
#define POLARISCOPE_ATTENTION_DECODE_ROWS_INL_H_
#endif

#include "polariscope/attention/internal/decode.h"
#include "polariscope/attention/internal/scores-inl.h"
#include "polariscope/attention/internal/visible_keys.h"

#include <algorithm>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

class RowsOfItem {
 public:
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;

  RowsOfItem(const AttentionInput<float>& in, const DecodeItem& item) : in_(in), item_(item) {
    const std::int64_t group = in.shape.heads / in.shape.key_heads;
    begin_ = item.end;
    end_ = item.begin;
    log_keys_ = log_of_keys<float>(key_length(in, item.batch));
    for (int r = 0; r < item.rows; ++r) {
      const std::int64_t row = item.row + r, head = item.key_head * group + row / in.shape.queries;
      const std::int64_t query = row % in.shape.queries;
      const KeyRange seen = visible_keys(in, item.batch, query);
      row_[r] = {head, query, seen.first, seen.end, own_key(in, item.batch, query)};
      if (in.form.transform == reweighting::Transform::kLogCount) {
        row_[r].log_count = log_factor<float>(in.form, visible_count(in, item.batch, head, query, seen));
      }
      if (seen.end > item.begin && seen.first < item.end) begin_ = std::min(begin_, std::max(seen.first, item.begin));
      end_ = std::max(end_, std::min(seen.end, item.end));
    }
  }

  std::int64_t head(int r) const { return row_[r].head; }
  std::int64_t query(int r) const { return row_[r].query; }
  std::int64_t begin() const { return begin_; }  // keys of the item that some row sees
  std::int64_t end() const { return end_; }

  // Whether the row does not see some key of [key, key + count).
  bool hides(int r, std::int64_t key, int count) const {
    return in_.bias.data != nullptr || key < row_[r].first || key + count > row_[r].end;
  }

  // From products to z, of whole vectors: hidden keys, and those beyond `count`, become minus infinity. Returns whether
  // there are such.
  template <class Row>
  HWY_INLINE bool complete(int r, std::int64_t key, int count, float* scores, Row& row) {
    const bool crosses =
        key < row_[r].first || key + count > row_[r].end || count % static_cast<int>(hn::Lanes(D())) != 0;
    const bool biased = in_.bias.data != nullptr;
    const bool transforms = in_.form.transform != reweighting::Transform::kNone;
    if (crosses || biased || transforms || in_.slopes != nullptr) {
      change(r, key, count, scores, row, crosses);
    }
    keep_first(r, key, count, scores);
    return crosses || biased;
  }

  // z of the first key that a row sees, where the row has passed it.
  bool found_first(int r) const { return row_[r].found; }
  float first_score(int r) const { return row_[r].first_score; }
  void look_for_first() {
    for (int r = 0; r < item_.rows; ++r) row_[r].first_visible = first_visible_key(in_, item_.batch, head(r), query(r));
  }

 private:
  struct RowOfItem {
    std::int64_t head, query, first, end, own;
    float log_count = 0.0F;
    std::int64_t first_visible = -1;
    float first_score = 0.0F;
    bool found = false;
  };

  template <class Row>
  HWY_NOINLINE void change(int r, std::int64_t key, int count, float* scores, Row& row, bool crosses) {
    const D d;
    const int lanes = static_cast<int>(hn::Lanes(d));
    const RowOfItem& of = row_[r];
    const V zero = hn::Zero(d), hidden = hn::Set(d, kHidden<float>);
    const V first = hn::Set(d, static_cast<float>(of.first));
    const V end = hn::Set(d, static_cast<float>(std::min(of.end, key + count)));
    const V own = hn::Set(d, static_cast<float>(of.own));
    const V slope = hn::Set(d, in_.slopes != nullptr ? in_.slopes[of.head] : 0.0F);
    const V log_count = hn::Set(d, of.log_count), log_keys = hn::Set(d, log_keys_);
    const bool biased = in_.bias.data != nullptr;
    const float* bias = biased ? in_.bias.row(item_.batch, of.head, of.query) + key : nullptr;
    V spoilt = zero;
    for (int j = 0; j < count; j += lanes) {
      const V at = hn::Iota(d, static_cast<float>(key + j));
      V z = hn::Load(d, scores + j);
      auto seen = visible<false>(d, z);
      if (crosses) {
        seen = hn::And(hn::Ge(at, first), hn::Lt(at, end));
        z = nan_for_infinity(d, z);
        if (!biased) spoilt = hn::MulAdd(hn::IfThenElseZero(seen, z), zero, spoilt);  // a bias may hide what is none
        z = hn::IfThenElse(seen, z, hidden);
      }
      if (in_.slopes != nullptr) z = hn::NegMulAdd(slope, hn::Abs(hn::Sub(own, at)), z);
      if (biased) {
        HWY_ALIGN float rest[hn::MaxLanes(D())] = {};
        const bool whole = j + lanes <= count;
        if (!whole) std::copy_n(bias + j, count - j, rest);
        const V by = whole ? hn::LoadU(d, bias + j) : hn::Load(d, rest);
        seen = hn::And(seen, visible<true>(d, by));
        // Where nothing was hidden before, a score of minus infinity is none.
        z = nan_for_infinity(d, hn::Add(z, by));
        spoilt = hn::MulAdd(hn::IfThenElseZero(seen, z), zero, spoilt);
        z = hn::IfThenElse(seen, z, hidden);
      }
      if (in_.form.transform != reweighting::Transform::kNone) {
        z = transformed(d, in_.form, z, crosses || biased, log_count, log_keys);
      }
      hn::Store(z, d, scores + j);
    }
    row.add(kSpoilt, spoilt);
  }

  HWY_INLINE void keep_first(int r, std::int64_t key, int count, const float* scores) {
    RowOfItem& of = row_[r];
    if (of.first_visible < key || of.first_visible >= key + count) return;
    of.first_score = scores[of.first_visible - key];
    of.found = true;
  }

  const AttentionInput<float>& in_;
  const DecodeItem& item_;
  std::int64_t begin_, end_;
  float log_keys_;
  RowOfItem row_[kDecodeRows];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_DECODE_ROWS_INL_H_
