#include "polariscope/train/loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>

namespace polariscope {

at::Tensor induction_loss(const at::Tensor& logits, const at::Tensor& targets, double auxiliary) {
  const std::int64_t last = logits.size(1) - 1;
  const at::Tensor loss = at::cross_entropy_loss(logits.select(1, last), targets.select(1, last));
  if (auxiliary == 0.0 || last == 0) return loss;
  const at::Tensor earlier = at::cross_entropy_loss(logits.narrow(1, 0, last).reshape({-1, logits.size(2)}),
                                                    targets.narrow(1, 0, last).reshape({-1}));
  return loss + auxiliary * earlier;
}

at::Tensor classification_loss(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits.select(1, logits.size(1) - 1), targets);
}

}  // namespace polariscope
