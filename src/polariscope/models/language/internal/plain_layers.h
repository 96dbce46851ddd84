// What layers.h and head_loss.h compute, in LibTorch's own operators: for tensors of other devices. Autograd
// differentiates them.
#pragma once

#include "polariscope/models/language/head_loss.h"
#include "polariscope/models/language/layers.h"

namespace polariscope::models::language::plain {

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                   ProductPrecision precision);
at::Tensor norm(const at::Tensor& x, const NormDescription& of, const at::Tensor& weight, const at::Tensor& bias,
                std::int64_t groups);
at::Tensor activated(const at::Tensor& x, Activation activation);
at::Tensor gated(const at::Tensor& x, const FeedForwardDescription& of);
std::vector<at::Tensor> split(const at::Tensor& x, const std::vector<std::int64_t>& widths,
                              const std::vector<std::optional<Rotation>>& rotations);

// Of some rows: the sums over them of the loss and of the cross-entropy, without gradient.
struct SummedLoss {
  at::Tensor loss;  // differentiable
  double cross_entropy = 0.0;
};
SummedLoss summed_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& targets,
                       const HeadLossOptions& options);

}  // namespace polariscope::models::language::plain
