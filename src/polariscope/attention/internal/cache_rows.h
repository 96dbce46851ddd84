// Where the rows of keys and values lie: in one piece, or in pages.
#pragma once

#include "polariscope/attention/attend.h"

namespace polariscope::attention {

// Of one head of one sequence.
template <class T>
class CacheRows {
 public:
  CacheRows(const HeadsView<const T>& view, const PageTable& table, std::int64_t batch, std::int64_t head)
      : view_(view), batch_(batch), head_(head), page_keys_(table.page_keys) {
    if (table.pages != nullptr) pages_ = table.pages + batch * table.batch_stride;
  }

  // rows[j] for the keys [key, key + count).
  void find(std::int64_t key, int count, const T** rows) const {
    if (pages_ == nullptr) {
      const T* at = view_.row(batch_, head_, key);
      for (int j = 0; j < count; ++j, at += view_.row_stride) rows[j] = at;
      return;
    }
    std::int64_t page = key / page_keys_, within = key % page_keys_;
    for (int j = 0; j < count; ++page, within = 0) {
      const T* at = view_.row(pages_[page], head_, within);
      for (; within < page_keys_ && j < count; ++within, ++j, at += view_.row_stride) rows[j] = at;
    }
  }

 private:
  HeadsView<const T> view_;
  std::int64_t batch_, head_, page_keys_;
  const std::int32_t* pages_ = nullptr;
};

}  // namespace polariscope::attention
