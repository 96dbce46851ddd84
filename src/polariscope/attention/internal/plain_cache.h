// Keys and values as most kernels want them: numbers of the kernel's own type, in one piece.
#pragma once

#include "polariscope/attention/attend.h"

#include <vector>

namespace polariscope::attention {

// What of an input is bfloat16 numbers or stands in pages is copied; all else stays where it is.
template <class T>
class PlainCache {
 public:
  PlainCache(const AttentionInput<T>& input, int threads);
  const AttentionInput<T>& input() const { return input_; }

 private:
  AttentionInput<T> input_;
  std::vector<T> key_, value_;
};

}  // namespace polariscope::attention
