#include "polariscope/models/layers.h"

#include "polariscope/models/internal/chunks.h"
#include "polariscope/models/internal/kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace polariscope::models {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;

class Linear : public torch::autograd::Function<Linear> {
 public:
  // residual may be undefined.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, const c10::optional<at::Tensor>& residual) {
    const at::Tensor x = rows_of(input);
    const at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
    const at::Tensor start = residual.has_value() ? rows_of(*residual) : at::Tensor();
    with_type(x, [&]<class T>() {
      const Factor<T> factor = forward_factor<T>(weight);
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        factor.multiply(count, row<T>(x, first), bias.data_ptr<T>(), start.defined() ? row<T>(start, first) : nullptr,
                        row<T>(y, first));
      });
    });
    context->save_for_backward({x, weight});
    context->saved_data["sizes"] = input.sizes().vec();
    context->saved_data["residual"] = residual.has_value();
    return y.view(with_width(input, weight.size(0)));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = rows_of(due[0]), dx = at::empty_like(x);
    const LinearGradients gradients(weight);
    with_type(x, [&]<class T>() {
      const Factor<T> factor = backward_factor<T>(weight);
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        column_sums(count, weight.size(0), row<T>(dy, first), gradients.bias.data_ptr<T>());
        factor.multiply(count, row<T>(dy, first), nullptr, nullptr, row<T>(dx, first));
        gradients.add_weight(count, row<T>(x, first), row<T>(dy, first));
      });
    });
    return {dx.view(context->saved_data["sizes"].toIntVector()), gradients.weight, gradients.bias,
            context->saved_data["residual"].toBool() ? due[0] : at::Tensor()};
  }
};

class SplitHeads : public torch::autograd::Function<SplitHeads> {
 public:
  static Tensors forward(AutogradContext* context, const at::Tensor& projected, std::int64_t parts,
                         std::int64_t heads) {
    context->saved_data["sizes"] = projected.sizes().vec();
    context->set_materialize_grads(false);
    const at::Tensor all = projected.view({projected.size(0), projected.size(1), parts, heads, -1});
    Tensors views;
    for (std::int64_t p = 0; p < parts; ++p) views.push_back(all.select(2, p).transpose(1, 2));
    return views;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const std::vector<std::int64_t> sizes = context->saved_data["sizes"].toIntVector();
    if (lie_side_by_side(due)) {
      return {due[0].as_strided(sizes, {sizes[1] * sizes[2], sizes[2], 1}), at::Tensor(), at::Tensor()};
    }
    const at::Tensor like = *std::find_if(due.begin(), due.end(), [](const at::Tensor& d) { return d.defined(); });
    const auto parts = static_cast<std::int64_t>(due.size());
    const at::Tensor all = at::empty({like.size(0), like.size(2), parts, like.size(1), like.size(3)}, like.options());
    for (std::int64_t p = 0; p < parts; ++p) {
      const at::Tensor part = all.select(2, p);
      due[p].defined() ? part.copy_(due[p].transpose(1, 2)) : part.zero_();
    }
    return {all.view(sizes), at::Tensor(), at::Tensor()};
  }

 private:
  // Whether what the parts are due is laid out as a projection already, as attend() leaves it.
  static bool lie_side_by_side(const Tensors& due) {
    const auto parts = static_cast<std::int64_t>(due.size());
    for (std::int64_t p = 0; p < parts; ++p) {
      if (!due[p].defined() || due[p].numel() == 0 || !due[p].is_alias_of(due[0])) return false;
      const std::int64_t heads = due[p].size(1), length = due[p].size(2), width = due[p].size(3);
      const std::int64_t row = parts * heads * width;
      if (due[p].strides() != at::IntArrayRef({length * row, width, row, 1})) return false;
      if (due[p].storage_offset() != due[0].storage_offset() + p * heads * width) return false;
    }
    return true;
  }
};

class LinearGelu : public torch::autograd::Function<LinearGelu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias) {
    const at::Tensor x = rows_of(input);
    const at::Tensor slopes = at::empty({x.size(0), weight.size(0)}, x.options()), value = at::empty_like(slopes);
    with_type(x, [&]<class T>() {
      const Factor<T> factor = forward_factor<T>(weight);
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        factor.multiply(count, row<T>(x, first), nullptr, nullptr, row<T>(slopes, first));
        gelu(count, weight.size(0), bias.data_ptr<T>(), row<T>(slopes, first), row<T>(value, first));
      });
    });
    context->save_for_backward({x, weight, slopes});
    context->saved_data["sizes"] = input.sizes().vec();
    return value.view(with_width(input, weight.size(0)));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &slopes = saved[2];
    const at::Tensor dy = rows_of(due[0]), dz = at::empty({std::min(kChunk, dy.size(0)), slopes.size(1)}, x.options());
    const at::Tensor dx = at::empty_like(x);
    const LinearGradients gradients(weight);
    with_type(x, [&]<class T>() {
      const Factor<T> factor = backward_factor<T>(weight);
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        T* chunk = dz.data_ptr<T>();
        times_slopes(count, slopes.size(1), row<T>(dy, first), row<T>(slopes, first), chunk,
                     gradients.bias.data_ptr<T>());
        factor.multiply(count, chunk, nullptr, nullptr, row<T>(dx, first));
        gradients.add_weight<T>(count, row<T>(x, first), chunk);
      });
    });
    return {dx.view(context->saved_data["sizes"].toIntVector()), gradients.weight, gradients.bias};
  }
};

class CrossEntropy : public torch::autograd::Function<CrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& weights) {
    const at::Tensor z = rows_of(logits).contiguous(), aims = targets.contiguous(), scales = weights.contiguous();
    at::Tensor dz = at::empty_like(z);
    const double loss = with_type(z, [&]<class T>() {
      return models::cross_entropy(z.size(0), z.size(1), z.data_ptr<T>(), aims.data_ptr<std::int64_t>(),
                                   scales.data_ptr<T>(), dz.data_ptr<T>());
    });
    context->save_for_backward({dz.view(logits.sizes())});
    return at::scalar_tensor(loss, z.options());
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const at::Tensor dz = context->get_saved_variables()[0];
    return {due[0].item<double>() == 1.0 ? dz : dz * due[0], at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearParameters& parameters) {
  return Linear::apply(x, parameters.weight, parameters.bias, c10::nullopt);
}

at::Tensor add_linear(const at::Tensor& residual, const at::Tensor& x, const LinearParameters& parameters) {
  return Linear::apply(x, parameters.weight, parameters.bias, c10::optional<at::Tensor>(residual));
}

std::vector<at::Tensor> split_heads(const at::Tensor& projected, std::int64_t parts, std::int64_t heads) {
  return SplitHeads::apply(projected, parts, heads);
}

at::Tensor linear_gelu(const at::Tensor& x, const LinearParameters& parameters) {
  return LinearGelu::apply(x, parameters.weight, parameters.bias);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights) {
  return CrossEntropy::apply(logits, targets, weights);
}

}  // namespace polariscope::models
