#include "polariscope/models/layers.h"

#include "polariscope/models/internal/kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace polariscope {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;

constexpr double kNormEpsilon = 1e-5;

at::Tensor rows_of(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

// Calls run.template operator()<T>() for the tensor's type.
template <class Run>
auto with_type(const at::Tensor& tensor, const Run& run) {
  return tensor.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

at::Tensor sums_of_columns(const at::Tensor& g) {
  at::Tensor sums = at::zeros({g.size(1)}, g.options());
  with_type(g, [&]<class T>() { column_sums(g.size(0), g.size(1), g.data_ptr<T>(), sums.data_ptr<T>()); });
  return sums;
}

// x Wᵀ + b: the product adds to rows that begin as the bias.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = bias.expand({x.size(0), bias.size(0)}).contiguous();
  return y.addmm_(x, weight.t());
}

std::vector<std::int64_t> with_width(const at::Tensor& x, std::int64_t width) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.back() = width;
  return sizes;
}

// What a linear layer's input and parameters are due from its output's gradient dy, [rows, outputs].
Tensors linear_gradients(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy, at::Tensor d_bias) {
  return {at::mm(dy, weight).view(x.sizes()), at::mm(dy.t(), rows_of(x)), std::move(d_bias)};
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    context->save_for_backward({x, weight});
    return product(rows_of(x), weight, bias).view(with_width(x, weight.size(0)));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor dy = rows_of(due[0]).contiguous();
    return linear_gradients(saved[0], saved[1], dy, sums_of_columns(dy));
  }
};

class AddLinear : public torch::autograd::Function<AddLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& residual, const at::Tensor& x,
                            const at::Tensor& weight, const at::Tensor& bias) {
    context->save_for_backward({x, weight});
    at::Tensor y = rows_of(residual) + bias;
    return y.addmm_(rows_of(x), weight.t()).view(residual.sizes());
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor dy = rows_of(due[0]).contiguous();
    Tensors gradients = linear_gradients(saved[0], saved[1], dy, sums_of_columns(dy));
    gradients.insert(gradients.begin(), due[0]);
    return gradients;
  }
};

class LinearGelu : public torch::autograd::Function<LinearGelu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    at::Tensor slopes = product(rows_of(x), weight, bias);
    at::Tensor value = at::empty_like(slopes);
    with_type(value, [&]<class T>() { gelu(value.numel(), slopes.data_ptr<T>(), value.data_ptr<T>()); });
    context->save_for_backward({x, weight, slopes});
    return value.view(with_width(x, weight.size(0)));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor& slopes = saved[2];
    // Nobody else holds what a product gave: it is overwritten.
    const at::Tensor dy = rows_of(due[0]).contiguous();
    at::Tensor d_bias = at::zeros({dy.size(1)}, dy.options());
    with_type(dy, [&]<class T>() {
      times_slopes_and_column_sums(dy.size(0), dy.size(1), slopes.data_ptr<T>(), dy.data_ptr<T>(),
                                   d_bias.data_ptr<T>());
    });
    return linear_gradients(saved[0], saved[1], dy, d_bias);
  }
};

class LayerNorm : public torch::autograd::Function<LayerNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias) {
    const at::Tensor x = input.contiguous();
    const std::int64_t width = x.size(-1), rows = width > 0 ? x.numel() / width : 0;
    at::Tensor y = at::empty_like(x);
    at::Tensor means = at::empty({rows}, x.options()), inverses = at::empty({rows}, x.options());
    with_type(x, [&]<class T>() {
      polariscope::layer_norm(rows, width, x.data_ptr<T>(), weight.data_ptr<T>(), bias.data_ptr<T>(),
                              static_cast<T>(kNormEpsilon), y.data_ptr<T>(), means.data_ptr<T>(),
                              inverses.data_ptr<T>());
    });
    context->save_for_backward({x, weight, means, inverses});
    return y;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = due[0].contiguous();
    at::Tensor dx = at::empty_like(x), d_weight = at::zeros_like(weight), d_bias = at::zeros_like(weight);
    with_type(x, [&]<class T>() {
      layer_norm_gradient(saved[2].numel(), weight.numel(), x.data_ptr<T>(), weight.data_ptr<T>(),
                          saved[2].data_ptr<T>(), saved[3].data_ptr<T>(), dy.data_ptr<T>(), dx.data_ptr<T>(),
                          d_weight.data_ptr<T>(), d_bias.data_ptr<T>());
    });
    return {dx, d_weight, d_bias};
  }
};

class CrossEntropy : public torch::autograd::Function<CrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits, const at::Tensor& targets,
                            const at::Tensor& weights) {
    const at::Tensor z = rows_of(logits).contiguous(), aims = targets.contiguous(), scales = weights.contiguous();
    at::Tensor dz = at::empty_like(z);
    const double loss = with_type(z, [&]<class T>() {
      return polariscope::cross_entropy(z.size(0), z.size(1), z.data_ptr<T>(), aims.data_ptr<std::int64_t>(),
                                        scales.data_ptr<T>(), dz.data_ptr<T>());
    });
    context->save_for_backward({dz.view(logits.sizes())});
    return at::scalar_tensor(loss, z.options());
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    return {context->get_saved_variables()[0] * due[0], at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return Linear::apply(x, weight, bias);
}

at::Tensor add_linear(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias) {
  return AddLinear::apply(residual, x, weight, bias);
}

at::Tensor linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return LinearGelu::apply(x, weight, bias);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return LayerNorm::apply(x, weight, bias);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights) {
  return CrossEntropy::apply(logits, targets, weights);
}

}  // namespace polariscope
