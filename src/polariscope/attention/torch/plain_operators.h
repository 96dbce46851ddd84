// Which tensors are computed with in LibTorch's own operators, whatever their device, in place of the CPU's kernels.
#pragma once

#include <ATen/core/Tensor.h>

namespace polariscope::attention {

// Those of other devices; of this thread's, all, while a PlainOperators is there.
bool takes_plain_operators(const at::Tensor& tensor);

// For tests, which compare the two.
class PlainOperators {
 public:
  PlainOperators();
  ~PlainOperators();
  PlainOperators(const PlainOperators&) = delete;
  PlainOperators& operator=(const PlainOperators&) = delete;
};

}  // namespace polariscope::attention
