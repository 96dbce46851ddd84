#include "polariscope/models/language/head_loss.h"

#include "polariscope/models/language/internal/products.h"
#include "polariscope/models/language/internal/row_chunks.h"
#include "polariscope/models/language/internal/row_gradients.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace polariscope::models::language {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;
using MaybeTensor = c10::optional<at::Tensor>;

// Logits that are there at once: enough rows for products at full speed, whatever the vocabulary.
constexpr std::int64_t kLogits = 1 << 24, kFewestRows = 128, kMostRows = 4096;

std::int64_t block_rows(std::int64_t vocabulary) {
  return std::clamp(kLogits / vocabulary / kFewestRows * kFewestRows, kFewestRows, kMostRows);
}

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
    const std::int64_t rows = x.size(0), vocabulary = weight.size(0), block = block_rows(vocabulary);
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

}  // namespace

HeadLoss head_loss(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& targets,
                   const HeadLossOptions& options) {
  HeadLoss result;
  const bool differentiate = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  result.loss = Node::apply(x, weight, bias.defined() ? MaybeTensor(bias) : c10::nullopt, targets.contiguous(), options,
                            differentiate, result.cross_entropy);
  return result;
}

}  // namespace polariscope::models::language
