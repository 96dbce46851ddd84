#include "polariscope/train/loss.h"

#include "polariscope/models/layers.h"

#include <ATen/ops/full.h>

namespace polariscope::train {

at::Tensor induction_loss(const at::Tensor& logits, const at::Tensor& targets, double auxiliary) {
  const std::int64_t batch = logits.size(0), last = logits.size(1) - 1;
  const double each = last > 0 ? auxiliary / static_cast<double>(batch * last) : 0.0;
  const at::Tensor weights = at::full({batch, last + 1}, each, logits.options());
  weights.select(1, last).fill_(1.0 / static_cast<double>(batch));
  return models::cross_entropy(logits, targets, weights);
}

at::Tensor classification_loss(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor weights = at::full({logits.size(0)}, 1.0 / static_cast<double>(logits.size(0)), logits.options());
  return models::cross_entropy(logits.select(1, logits.size(1) - 1), targets, weights);
}

}  // namespace polariscope::train
