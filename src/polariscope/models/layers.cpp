#include "polariscope/models/layers.h"

#include "polariscope/models/internal/kernels.h"
#include "polariscope/models/internal/matrix_product.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace polariscope {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;

constexpr double kNormEpsilon = 1e-5;

at::Tensor rows_of(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

// Calls run.template operator()<T>() for the tensor's type.
template <class Run>
auto with_type(const at::Tensor& tensor, const Run& run) {
  return tensor.scalar_type() == at::kDouble ? run.template operator()<double>() : run.template operator()<float>();
}

template <class T>
T* row(const at::Tensor& matrix, std::int64_t first) {
  return matrix.data_ptr<T>() + first * matrix.size(1);
}

// Rows are taken through a layer in chunks that its passes find in the second-level cache.
constexpr std::int64_t kChunk = 512;
template <class Visit>
void for_each_chunk(std::int64_t rows, const Visit& visit) {
  for (std::int64_t first = 0; first < rows; first += kChunk) visit(first, std::min(kChunk, rows - first));
}

std::vector<std::int64_t> with_width(const at::Tensor& x, std::int64_t width) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.back() = width;
  return sizes;
}

// y = x Wᵀ + keep·y for a chunk of rows.
template <class T>
void forward_chunk(std::int64_t first, std::int64_t count, const at::Tensor& x, const at::Tensor& weight, T keep,
                   const at::Tensor& y) {
  const std::int64_t inputs = weight.size(1), outputs = weight.size(0);
  multiply(count, outputs, inputs, Operand<T>{row<T>(x, first), inputs}, Operand<T>{weight.data_ptr<T>(), inputs, true},
           keep, row<T>(y, first));
}

// What a linear layer's input and parameters are due: dx = dy W, dW = dyᵀ x, db = Σ dy.
struct LinearGradients {
  LinearGradients(const at::Tensor& x, const at::Tensor& weight)
      : dx(at::empty({x.size(0), weight.size(1)}, x.options())),
        d_weight(at::empty(weight.sizes(), x.options())),
        d_bias(at::zeros({weight.size(0)}, x.options())) {
    if (x.size(0) == 0) d_weight.zero_();
  }
  // Of a chunk of rows, its sums of columns aside. dy: that chunk's.
  template <class T>
  void add_chunk(std::int64_t first, std::int64_t count, const at::Tensor& x, const at::Tensor& weight, const T* dy) {
    const std::int64_t inputs = weight.size(1), outputs = weight.size(0);
    multiply(count, inputs, outputs, Operand<T>{dy, outputs}, Operand<T>{weight.data_ptr<T>(), inputs}, T(0),
             row<T>(dx, first));
    multiply(outputs, inputs, count, Operand<T>{dy, outputs, true}, Operand<T>{row<T>(x, first), inputs},
             first == 0 ? T(0) : T(1), d_weight.data_ptr<T>());
  }
  at::Tensor dx, d_weight, d_bias;
};

LinearGradients linear_gradients(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& dy) {
  LinearGradients due(x, weight);
  with_type(x, [&]<class T>() {
    for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
      column_sums(count, dy.size(1), row<T>(dy, first), due.d_bias.data_ptr<T>());
      due.add_chunk<T>(first, count, x, weight, row<T>(dy, first));
    });
  });
  return due;
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  // residual may be undefined.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, const c10::optional<at::Tensor>& residual) {
    const at::Tensor x = rows_of(input);
    const at::Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
    const at::Tensor start = residual.has_value() ? rows_of(*residual) : at::Tensor();
    with_type(x, [&]<class T>() {
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        add_bias(count, weight.size(0), start.defined() ? row<T>(start, first) : nullptr, bias.data_ptr<T>(),
                 row<T>(y, first));
        forward_chunk<T>(first, count, x, weight, T(1), y);
      });
    });
    context->save_for_backward({x, weight});
    context->saved_data["sizes"] = input.sizes().vec();
    context->saved_data["residual"] = residual.has_value();
    return y.view(with_width(input, weight.size(0)));
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const LinearGradients gradients = linear_gradients(saved[0], saved[1], rows_of(due[0]));
    return {gradients.dx.view(context->saved_data["sizes"].toIntVector()), gradients.d_weight, gradients.d_bias,
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
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        forward_chunk<T>(first, count, x, weight, T(0), slopes);
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
    const at::Tensor dy = rows_of(due[0]), dz = at::empty({kChunk, slopes.size(1)}, x.options());
    LinearGradients gradients(x, weight);
    with_type(x, [&]<class T>() {
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        T* chunk = dz.data_ptr<T>();
        times_slopes(count, slopes.size(1), row<T>(dy, first), row<T>(slopes, first), chunk,
                     gradients.d_bias.data_ptr<T>());
        gradients.add_chunk<T>(first, count, x, weight, chunk);
      });
    });
    return {gradients.dx.view(context->saved_data["sizes"].toIntVector()), gradients.d_weight, gradients.d_bias};
  }
};

class LayerNorm : public torch::autograd::Function<LayerNorm> {
 public:
  // x itself, and its LayerNorm.
  static Tensors forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
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
    context->set_materialize_grads(false);
    return {input.view(input.sizes()), y};
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    if (!due[1].defined()) return {due[0], at::Tensor(), at::Tensor()};
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor dy = due[1].contiguous(), besides = due[0].defined() ? due[0].contiguous() : at::Tensor();
    at::Tensor dx = at::empty_like(x), d_weight = at::zeros_like(weight), d_bias = at::zeros_like(weight);
    with_type(x, [&]<class T>() {
      layer_norm_gradient(saved[2].numel(), weight.numel(), x.data_ptr<T>(), weight.data_ptr<T>(),
                          saved[2].data_ptr<T>(), saved[3].data_ptr<T>(), dy.data_ptr<T>(),
                          besides.defined() ? besides.data_ptr<T>() : nullptr, dx.data_ptr<T>(), d_weight.data_ptr<T>(),
                          d_bias.data_ptr<T>());
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
    const at::Tensor dz = context->get_saved_variables()[0];
    return {due[0].item<double>() == 1.0 ? dz : dz * due[0], at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return Linear::apply(x, weight, bias, c10::nullopt);
}

at::Tensor add_linear(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias) {
  return Linear::apply(x, weight, bias, c10::optional<at::Tensor>(residual));
}

std::vector<at::Tensor> split_heads(const at::Tensor& projected, std::int64_t parts, std::int64_t heads) {
  return SplitHeads::apply(projected, parts, heads);
}

at::Tensor linear_gelu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return LinearGelu::apply(x, weight, bias);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return LayerNorm::apply(x, weight, bias)[1];
}

Branch layer_norm_branch(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const Tensors both = LayerNorm::apply(x, weight, bias);
  return {both[0], both[1]};
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights) {
  return CrossEntropy::apply(logits, targets, weights);
}

}  // namespace polariscope
