// Rows of memory that will soon be read or written, fetched a few at a time while products are multiplied. A row of a
// few cache lines ends before the processor foresees the next, and all rows at once would be waited for.
#pragma once

#include "polariscope/attention/internal/blocks.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstdint>

namespace polariscope::attention {

class Ahead {
 public:
  // What `block` will write last and `next` will read first, over about `times` calls of fetch().
  template <class T>
  Ahead(const AttentionInput<T>& in, const AttentionOutput<T>& out, const QueryBlock& block, const QueryBlock& next,
        std::int64_t times) {
    add(in.query, next, in.shape.width);
    add(out.output, block, in.shape.value_width);
    step_ = (count_ + times) / (times + 1);
  }

  void fetch() {
    constexpr std::int64_t kLine = 64;
    for (const std::int64_t end = std::min(next_ + step_, count_); next_ < end; ++next_) {
      for (std::int64_t at = 0; at < rows_[next_].bytes; at += kLine) hwy::Prefetch(rows_[next_].first + at);
    }
  }

 private:
  struct Row {
    const char* first;
    std::int64_t bytes;
  };

  template <class U>
  void add(const HeadsView<U>& view, const QueryBlock& block, std::int64_t width) {
    for (int q = 0; q < block.count; ++q) {
      const U* row = view.row(block.batch, block.head, block.first + q);
      rows_[count_++] = {reinterpret_cast<const char*>(row), width * static_cast<std::int64_t>(sizeof(U))};
    }
  }

  Row rows_[2 * kMaxBlockWidth];
  std::int64_t count_ = 0, next_ = 0, step_ = 0;
};

}  // namespace polariscope::attention
