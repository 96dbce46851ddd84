// Losses of the polarisation paper's tasks, differentiable with respect to the logits.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

namespace polariscope::train {

// Cross-entropy at the last position, plus `auxiliary` times its mean over the earlier ones.
// logits: [batch, length, outputs]; targets: int64 [batch, length]. Natural logarithm. Scalar.
at::Tensor induction_loss(const at::Tensor& logits, const at::Tensor& targets, double auxiliary);

// Cross-entropy at the last position, where CLS stands. targets: int64 [batch].
at::Tensor classification_loss(const at::Tensor& logits, const at::Tensor& targets);

}  // namespace polariscope::train
