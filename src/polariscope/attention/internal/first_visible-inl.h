// What the first key that each row of a block sees has, of rows that are taken tile by tile.

#if defined(POLARISCOPE_ATTENTION_FIRST_VISIBLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_FIRST_VISIBLE_INL_H_
#undef POLARISCOPE_ATTENTION_FIRST_VISIBLE_INL_H_
#else
#define POLARISCOPE_ATTENTION_FIRST_VISIBLE_INL_H_
#endif

#include "polariscope/attention/internal/blocks.h"
#include "polariscope/attention/internal/visible_keys.h"

#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Lanes beyond the block's queries have no such key. Where it is not wanted nothing is looked for.
template <class T>
class FirstVisible {
 public:
  FirstVisible(const AttentionInput<T>& in, const QueryBlock& block, bool wanted) : count_(wanted ? block.count : 0) {
    for (int q = 0; q < count_; ++q) key_[q] = first_visible_key(in, block.batch, block.head, block.first + q);
  }

  // Calls visit(q, number) for the queries whose key is one of [key, key + keys); tile: [keys, width].
  template <class Visit>
  HWY_INLINE void visit(std::int64_t key, std::int64_t keys, T* tile, int width, const Visit& visit) const {
    for (int q = 0; q < count_; ++q) {
      if (key_[q] >= key && key_[q] < key + keys) visit(q, tile[(key_[q] - key) * width + q]);
    }
  }

 private:
  int count_;
  std::int64_t key_[kMaxBlockWidth];
};

// What is kept of a forward pass: z of exponentials, else w.
template <class T>
class FirstWeights {
 public:
  FirstWeights(const AttentionInput<T>& in, const QueryBlock& block, bool wanted, T none) : key_(in, block, wanted) {
    std::fill_n(number_, wanted ? kMaxBlockWidth : 0, none);
  }
  HWY_INLINE void take(std::int64_t key, std::int64_t keys, T* tile, int width) {
    key_.visit(key, keys, tile, width, [&](int q, T number) { number_[q] = number; });
  }
  // Of a vector of rows.
  const T* numbers(int lane) const { return number_ + lane; }

 private:
  FirstVisible<T> key_;
  HWY_ALIGN T number_[kMaxBlockWidth];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_FIRST_VISIBLE_INL_H_
