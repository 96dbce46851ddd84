#include "polariscope/models/language/internal/plain_layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>

namespace polariscope::models::language::plain {
namespace {

// Columns [first, first + 2 pairs) of each head turned by the angles of its row.
at::Tensor with_turned_heads(const at::Tensor& x, const Rotation& of) {
  const at::Tensor heads = x.view({x.size(0), of.heads, -1});
  const std::int64_t width = heads.size(2), last = of.first + 2 * of.pairs;
  const at::Tensor angles = of.angles.table.index_select(0, of.angles.places).unsqueeze(1);  // [rows, 1, 2, pairs]
  const at::Tensor cosines = angles.select(2, 0), sines = angles.select(2, 1);
  const at::Tensor turned = heads.slice(2, of.first, last);
  const at::Tensor pairs = of.neighbours ? turned.reshape({x.size(0), of.heads, of.pairs, 2})
                                         : turned.reshape({x.size(0), of.heads, 2, of.pairs}).transpose(2, 3);
  const at::Tensor a = pairs.select(3, 0), b = pairs.select(3, 1);
  const at::Tensor after = at::stack({a * cosines - b * sines, b * cosines + a * sines}, of.neighbours ? 3 : 2);
  return at::cat({heads.slice(2, 0, of.first), after.reshape({x.size(0), of.heads, 2 * of.pairs}),
                  heads.slice(2, last, width)},
                 2)
      .view(x.sizes());
}

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                   ProductPrecision precision) {
  at::Tensor y = precision == ProductPrecision::kBfloat16
                     ? x.to(at::kBFloat16).matmul(weight.to(at::kBFloat16).t()).to(x.scalar_type())
                     : x.matmul(weight.t());
  if (bias.defined()) y = y + bias;
  return residual.defined() ? y + residual : y;
}

at::Tensor norm(const at::Tensor& x, const NormDescription& of, const at::Tensor& weight, const at::Tensor& bias,
                std::int64_t groups) {
  const at::Tensor grouped = x.reshape({x.size(0), groups, -1});
  const at::Tensor centred = of.kind == NormKind::kLayer ? grouped - grouped.mean(2, true) : grouped;
  at::Tensor y = centred * at::rsqrt(centred.square().mean(2, true) + of.epsilon);
  const std::int64_t width = grouped.size(2);
  const auto laid = [&](const at::Tensor& numbers) {
    return numbers.numel() == width ? numbers.reshape({1, 1, width}) : numbers.reshape({1, groups, width});
  };
  if (weight.defined()) y = y * laid(weight);
  if (bias.defined()) y = y + laid(bias);
  return y.reshape(x.sizes());
}

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu: return at::gelu(x);
    case Activation::kGeluTanh: return at::gelu(x, "tanh");
    case Activation::kGeluSigmoid: return x * at::sigmoid(1.702 * x);
    case Activation::kSilu: return at::silu(x);
    case Activation::kRelu: return at::relu(x);
    case Activation::kReluSquared: return at::relu(x).square();
  }
  return x;
}

at::Tensor gated(const at::Tensor& x, const FeedForwardDescription& of) {
  const std::int64_t width = x.size(1) / 2;
  at::Tensor gate = x.narrow(1, 0, width), up = x.narrow(1, width, width);
  if (of.limit) {
    gate = at::clamp_max(gate, *of.limit);
    up = at::clamp(up, -*of.limit, *of.limit);
  }
  return plain::activated(gate, of.activation) * (up + of.up_offset);
}

std::vector<at::Tensor> split(const at::Tensor& x, const std::vector<std::int64_t>& widths,
                              const std::vector<std::optional<Rotation>>& rotations) {
  std::vector<at::Tensor> parts = x.split_with_sizes(widths, 1);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (rotations[i]) parts[i] = with_turned_heads(parts[i].contiguous(), *rotations[i]);
  }
  return parts;
}

SummedLoss summed_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& targets,
                       const HeadLossOptions& options) {
  at::Tensor z = plain::product(x, weight, {}, {}, options.precision) * options.logit_scale;
  if (bias.defined()) z = z + bias;
  if (options.logit_cap) z = *options.logit_cap * at::tanh(z / *options.logit_cap);
  const at::Tensor counted = targets.ge(0).to(z.scalar_type()), log_sum = at::logsumexp(z, 1);
  const at::Tensor of_target = z.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1);
  const at::Tensor entropy = ((log_sum - of_target) * counted).sum();
  return {entropy + options.z_loss * (log_sum.square() * counted).sum(), entropy.item<double>()};
}

}  // namespace polariscope::models::language::plain
