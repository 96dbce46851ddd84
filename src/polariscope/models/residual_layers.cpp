#include "polariscope/models/residual_layers.h"

#include "polariscope/models/internal/chunks.h"
#include "polariscope/models/internal/kernels.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace polariscope::models {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;
using MaybeTensor = c10::optional<at::Tensor>;

constexpr double kNormEpsilon = 1e-5;

MaybeTensor maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt; }

// LayerNorm of a chunk of rows at a time; without parameters the rows are left as they are.
class Norm {
 public:
  Norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) : x_(x), weight_(weight), bias_(bias) {
    if (!weight.defined()) return;
    normed_ = at::empty_like(x);
    means_ = at::empty({x.size(0)}, x.options());
    inverses_ = at::empty({x.size(0)}, x.options());
  }

  template <class T>
  const T* forward(std::int64_t first, std::int64_t count) const {
    if (!weight_.defined()) return row<T>(x_, first);
    layer_norm(count, x_.size(1), row<T>(x_, first), weight_.data_ptr<T>(), bias_.data_ptr<T>(),
               static_cast<T>(kNormEpsilon), row<T>(normed_, first), means_.data_ptr<T>() + first,
               inverses_.data_ptr<T>() + first);
    return row<T>(normed_, first);
  }

  Tensors kept() const { return {x_, weight_, normed_, means_, inverses_}; }
  static constexpr std::size_t kKept = 5;

 private:
  at::Tensor x_, weight_, bias_, normed_, means_, inverses_;
};

// The way back, from what the way there kept; dx = LayerNorm'(x) d_normed + besides.
class NormGradient {
 public:
  explicit NormGradient(const Tensors& kept)
      : x_(kept[0]), weight_(kept[1]), normed_(kept[2]), means_(kept[3]), inverses_(kept[4]), dx_(at::empty_like(x_)) {
    if (!weight_.defined()) return;
    due_ = at::empty({std::min(kChunk, x_.size(0)), x_.size(1)}, x_.options());
    d_weight_ = at::zeros_like(weight_);
    d_bias_ = at::zeros_like(weight_);
  }

  // Of a chunk whose linear layer is due dy: adds to that layer's gradients and makes dx. besides may be null.
  template <class T>
  void add_chunk(std::int64_t first, std::int64_t count, const LinearGradients& linear, const Factor<T>& factor,
                 const T* dy, const T* besides) const {
    linear.add_weight(count, row<T>(weight_.defined() ? normed_ : x_, first), dy);
    if (!weight_.defined()) return factor.multiply(count, dy, nullptr, besides, row<T>(dx_, first));
    T* due = due_.data_ptr<T>();
    factor.multiply(count, dy, nullptr, nullptr, due);
    layer_norm_gradient(count, x_.size(1), row<T>(x_, first), weight_.data_ptr<T>(), means_.data_ptr<T>() + first,
                        inverses_.data_ptr<T>() + first, due, besides, row<T>(dx_, first), d_weight_.data_ptr<T>(),
                        d_bias_.data_ptr<T>());
  }

  const at::Tensor& dx() const { return dx_; }
  const at::Tensor& d_weight() const { return d_weight_; }
  const at::Tensor& d_bias() const { return d_bias_; }

 private:
  at::Tensor x_, weight_, normed_, means_, inverses_, dx_, due_, d_weight_, d_bias_;
};

class NormLinear : public torch::autograd::Function<NormLinear> {
 public:
  // x itself, and W LayerNorm(x) + b.
  static Tensors forward(AutogradContext* context, const at::Tensor& input, const MaybeTensor& norm_weight,
                         const MaybeTensor& norm_bias, const at::Tensor& weight, const at::Tensor& bias) {
    const Norm norm(rows_of(input), norm_weight.value_or(at::Tensor()), norm_bias.value_or(at::Tensor()));
    const std::int64_t outputs = weight.size(0), rows = input.size(-1) > 0 ? input.numel() / input.size(-1) : 0;
    const at::Tensor y = at::empty({rows, outputs}, input.options());
    with_type(input, [&]<class T>() {
      const Factor<T> factor = forward_factor<T>(weight);
      for_each_chunk(rows, [&](std::int64_t first, std::int64_t count) {
        factor.multiply(count, norm.forward<T>(first, count), bias.data_ptr<T>(), nullptr, row<T>(y, first));
      });
    });
    Tensors kept = norm.kept();
    kept.push_back(weight);
    context->save_for_backward(kept);
    context->saved_data["sizes"] = input.sizes().vec();
    context->set_materialize_grads(false);
    return {input.view(input.sizes()), y.view(with_width(input, outputs))};
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    if (!due[1].defined()) return {due[0], at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    const Tensors saved = context->get_saved_variables();
    const at::Tensor& weight = saved[Norm::kKept];
    const at::Tensor dy = rows_of(due[1]), besides = due[0].defined() ? rows_of(due[0]) : at::Tensor();
    const NormGradient norm(saved);
    const LinearGradients linear(weight);
    with_type(dy, [&]<class T>() {
      const Factor<T> factor = backward_factor<T>(weight);
      for_each_chunk(dy.size(0), [&](std::int64_t first, std::int64_t count) {
        column_sums(count, dy.size(1), row<T>(dy, first), linear.bias.data_ptr<T>());
        norm.add_chunk<T>(first, count, linear, factor, row<T>(dy, first),
                          besides.defined() ? row<T>(besides, first) : nullptr);
      });
    });
    return {norm.dx().view(context->saved_data["sizes"].toIntVector()), norm.d_weight(), norm.d_bias(), linear.weight,
            linear.bias};
  }
};

class AddMlp : public torch::autograd::Function<AddMlp> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const MaybeTensor& norm_weight,
                            const MaybeTensor& norm_bias, const at::Tensor& weight_1, const at::Tensor& bias_1,
                            const at::Tensor& weight_2, const at::Tensor& bias_2) {
    const at::Tensor x = rows_of(input), y = at::empty_like(x);
    const Norm norm(x, norm_weight.value_or(at::Tensor()), norm_bias.value_or(at::Tensor()));
    const std::int64_t hidden = weight_1.size(0);
    const at::Tensor slopes = at::empty({x.size(0), hidden}, x.options()), value = at::empty_like(slopes);
    with_type(x, [&]<class T>() {
      const Factor<T> factor_1 = forward_factor<T>(weight_1), factor_2 = forward_factor<T>(weight_2);
      for_each_chunk(x.size(0), [&](std::int64_t first, std::int64_t count) {
        factor_1.multiply(count, norm.forward<T>(first, count), nullptr, nullptr, row<T>(slopes, first));
        gelu(count, hidden, bias_1.data_ptr<T>(), row<T>(slopes, first), row<T>(value, first));
        factor_2.multiply(count, row<T>(value, first), bias_2.data_ptr<T>(), row<T>(x, first), row<T>(y, first));
      });
    });
    Tensors kept = norm.kept();
    kept.insert(kept.end(), {weight_1, weight_2, slopes, value});
    context->save_for_backward(kept);
    return y.view(input.sizes());
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &weight_1 = saved[Norm::kKept], &weight_2 = saved[Norm::kKept + 1];
    const at::Tensor &slopes = saved[Norm::kKept + 2], &value = saved[Norm::kKept + 3];
    const at::Tensor dy = rows_of(due[0]);
    const at::Tensor d_hidden = at::empty({std::min(kChunk, dy.size(0)), slopes.size(1)}, dy.options());
    const NormGradient norm(saved);
    const LinearGradients linear_1(weight_1), linear_2(weight_2);
    with_type(dy, [&]<class T>() {
      const Factor<T> factor_1 = backward_factor<T>(weight_1), factor_2 = backward_factor<T>(weight_2);
      T* hidden = d_hidden.data_ptr<T>();
      for_each_chunk(dy.size(0), [&](std::int64_t first, std::int64_t count) {
        column_sums(count, dy.size(1), row<T>(dy, first), linear_2.bias.data_ptr<T>());
        linear_2.add_weight(count, row<T>(value, first), row<T>(dy, first));
        factor_2.multiply(count, row<T>(dy, first), nullptr, nullptr, hidden);
        times_slopes(count, slopes.size(1), hidden, row<T>(slopes, first), hidden, linear_1.bias.data_ptr<T>());
        norm.add_chunk<T>(first, count, linear_1, factor_1, hidden, row<T>(dy, first));
      });
    });
    return {norm.dx().view(due[0].sizes()),
            norm.d_weight(),
            norm.d_bias(),
            linear_1.weight,
            linear_1.bias,
            linear_2.weight,
            linear_2.bias};
  }
};

}  // namespace

Branch norm_linear(const at::Tensor& x, const NormParameters& norm, const LinearParameters& linear) {
  const Tensors both = NormLinear::apply(x, maybe(norm.weight), maybe(norm.bias), linear.weight, linear.bias);
  return {both[0], both[1]};
}

at::Tensor add_mlp(const at::Tensor& x, const NormParameters& norm, const LinearParameters& first,
                   const LinearParameters& second) {
  return AddMlp::apply(x, maybe(norm.weight), maybe(norm.bias), first.weight, first.bias, second.weight, second.bias);
}

}  // namespace polariscope::models
