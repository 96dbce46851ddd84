#include "polariscope/models/language/head_loss.h"

#include "polariscope/attention/torch/plain_operators.h"
#include "polariscope/models/language/internal/plain_layers.h"
#include "polariscope/models/language/internal/products.h"
#include "polariscope/models/language/internal/row_chunks.h"
#include "polariscope/models/language/internal/row_gradients.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace polariscope::models::language {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;
using MaybeTensor = c10::optional<at::Tensor>;

constexpr std::int64_t kLogits = 1 << 24, kFewestRows = 128, kMostRows = 4096;

// Sums over the rows of a block of logits, which become gradients.
template <class T>
LogitSums take_loss(const LogitLoss& loss, const at::Tensor& logits, const std::int64_t* targets, double weight) {
  constexpr std::int64_t kShare = 16;  // rows of a thread at once: a few hundred thousand logits
  const std::int64_t rows = logits.size(0), shares = (rows + kShare - 1) / kShare;
  std::vector<LogitSums> sums(static_cast<std::size_t>(shares));
  parallel_for(shares, at::get_num_threads(), [&](std::int64_t share) {
    const std::int64_t first = share * kShare, count = std::min(kShare, rows - first);
    sums[share] = row_gradients<T>().loss(loss, count, logits.size(1), targets + first, static_cast<T>(weight),
                                          rows_at<T>(logits, first));
  });
  LogitSums all;
  for (const LogitSums& one : sums) {
    all.cross_entropy += one.cross_entropy;
    all.square_of_log_sum += one.square_of_log_sum;
  }
  return all;
}

class Node : public torch::autograd::Function<Node> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const MaybeTensor& bias, const at::Tensor& targets, const HeadLossOptions& options,
                            bool differentiate, double& cross_entropy) {
    const at::Tensor given = readable(input), x = as_factor(given, options.precision);
    const at::Tensor w = as_factor(weight, options.precision);
    // The scale is of the product alone; the loss's kernel scales what it is given.
    at::Tensor b = bias.value_or(at::Tensor());
    if (b.defined() && options.logit_scale != 1.0) b = b / options.logit_scale;
    const std::int64_t rows = x.size(0), vocabulary = weight.size(0), block = logit_rows(vocabulary);
    const auto* aims = targets.data_ptr<std::int64_t>();
    const auto counted = std::count_if(aims, aims + rows, [](std::int64_t target) { return target >= 0; });
    const double each = counted > 0 ? 1.0 / static_cast<double>(counted) : 0.0;
    const LogitLoss loss{options.logit_scale, options.logit_cap.value_or(0.0), options.z_loss};
    at::Tensor dx, d_weight, d_bias;
    if (differentiate) {
      dx = at::empty({rows, x.size(1)}, weight.options());
      d_weight = at::zeros_like(weight);
      if (b.defined()) d_bias = at::zeros_like(b);
    }
    const at::Tensor memory = at::empty({std::min(block, rows), vocabulary}, weight.options());
    LogitSums sums;
    for (std::int64_t first = 0; first < rows; first += block) {
      const std::int64_t count = std::min(block, rows - first);
      const at::Tensor logits = memory.narrow(0, 0, count), of_x = x.narrow(0, first, count);
      multiply(of_x, w, b, false, logits);
      const LogitSums some =
          with_type(logits, [&]<class T>() { return take_loss<T>(loss, logits, aims + first, each); });
      sums.cross_entropy += some.cross_entropy;
      sums.square_of_log_sum += some.square_of_log_sum;
      if (!differentiate) continue;
      const at::Tensor due = as_factor(logits, options.precision);
      multiply_back(due, w, dx.narrow(0, first, count));
      multiply_rows(due, of_x, true, d_weight);
      if (d_bias.defined()) d_bias.add_(column_sums(logits));
    }
    if (d_bias.defined() && options.logit_scale != 1.0) d_bias.div_(options.logit_scale);
    context->save_for_backward({dx, d_weight, d_bias});
    cross_entropy = sums.cross_entropy;
    return at::scalar_tensor(sums.cross_entropy + options.z_loss * sums.square_of_log_sum, weight.options());
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const double factor = due[0].item<double>();
    const auto times = [&](const at::Tensor& t) { return !t.defined() || factor == 1.0 ? t : t * factor; };
    return {times(saved[0]), times(saved[1]), times(saved[2]), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// The same in LibTorch's own operators: each block is differentiated as soon as it is there.
class PlainNode : public torch::autograd::Function<PlainNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const MaybeTensor& bias, const at::Tensor& targets, const HeadLossOptions& options,
                            bool differentiate, double& cross_entropy) {
    const std::int64_t rows = input.size(0), block = logit_rows(weight.size(0));
    const double each = 1.0 / std::max(targets.ge(0).sum().item<double>(), 1.0);
    Tensors leaves{at::Tensor(), weight.detach().requires_grad_(differentiate)};
    if (bias) leaves.push_back(bias->detach().requires_grad_(differentiate));
    Tensors gradients{at::empty_like(input), at::zeros_like(weight), bias ? at::zeros_like(*bias) : at::Tensor()};
    double loss = 0.0;
    cross_entropy = 0.0;
    for (std::int64_t first = 0; first < rows; first += block) {
      const at::AutoGradMode recording(differentiate);
      const std::int64_t count = std::min(block, rows - first);
      leaves[0] = input.detach().narrow(0, first, count).requires_grad_(differentiate);
      const plain::SummedLoss some = plain::summed_loss(leaves[0], leaves[1], bias ? leaves[2] : at::Tensor(),
                                                        targets.narrow(0, first, count), options);
      loss += each * some.loss.item<double>();
      cross_entropy += each * some.cross_entropy;
      if (!differentiate) continue;
      const Tensors found = torch::autograd::grad({some.loss * each}, leaves);
      gradients[0].narrow(0, first, count).copy_(found[0]);
      for (std::size_t i = 1; i < found.size(); ++i) gradients[i].add_(found[i]);
    }
    context->save_for_backward(gradients);
    return at::scalar_tensor(loss, weight.options().requires_grad(false));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const auto times = [&](const at::Tensor& t) { return t.defined() ? t * due[0] : t; };
    return {times(saved[0]), times(saved[1]), times(saved[2]), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

std::int64_t logit_rows(std::int64_t vocabulary) {
  return std::clamp(kLogits / vocabulary / kFewestRows * kFewestRows, kFewestRows, kMostRows);
}

HeadLoss head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& targets,
                   const HeadLossOptions& options) {
  HeadLoss result;
  const bool differentiate = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  if (attention::takes_plain_operators(x)) {
    result.loss = PlainNode::apply(x, weight, bias.defined() ? MaybeTensor(bias) : c10::nullopt, targets.to(x.device()),
                                   options, differentiate, result.cross_entropy);
    return result;
  }
  result.loss = Node::apply(x, weight, bias.defined() ? MaybeTensor(bias) : c10::nullopt, targets.contiguous(), options,
                            differentiate, result.cross_entropy);
  return result;
}

}  // namespace polariscope::models::language
