#include "polariscope/models/language/layers.h"

#include "polariscope/attention/torch/plain_operators.h"
#include "polariscope/models/language/internal/plain_layers.h"
#include "polariscope/models/language/internal/products.h"
#include "polariscope/models/language/internal/row_chunks.h"
#include "polariscope/models/language/internal/row_gradients.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

namespace polariscope::models::language {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;
using MaybeTensor = c10::optional<at::Tensor>;

MaybeTensor maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt; }

class Product : public torch::autograd::Function<Product> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const MaybeTensor& bias, const MaybeTensor& residual, std::int64_t precision) {
    const auto as = static_cast<ProductPrecision>(precision);
    const at::Tensor x = as_factor(readable(input), as), w = as_factor(weight, as);
    const at::Tensor y = at::empty({input.size(0), weight.size(0)}, input.options());
    if (residual) y.copy_(*residual);
    multiply(x, w, bias.value_or(at::Tensor()), residual.has_value(), y);
    context->save_for_backward({x, weight});
    context->saved_data["precision"] = precision;
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["residual"] = residual.has_value();
    return y;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const auto as = static_cast<ProductPrecision>(context->saved_data["precision"].toInt());
    const at::Tensor &x = saved[0], &weight = saved[1], given = readable(due[0]), dy = as_factor(given, as);
    at::Tensor dx, d_weight, d_bias;
    if (context->needs_input_grad(0)) {
      dx = at::empty({x.size(0), x.size(1)}, weight.options());
      multiply_back(dy, as_factor(weight, as), dx);
    }
    if (context->needs_input_grad(1)) {
      d_weight = at::empty_like(weight);
      multiply_rows(dy, x, false, d_weight);
    }
    if (context->saved_data["bias"].toBool()) d_bias = column_sums(given);
    const bool residual = context->saved_data["residual"].toBool();
    return {dx, d_weight, d_bias, residual ? due[0] : at::Tensor(), at::Tensor()};
  }
};

NormShape norm_shape(const at::Tensor& x, std::int64_t groups, bool shared, bool centred, double epsilon) {
  const std::int64_t width = x.size(1) / groups;
  return {.rows = 0,
          .groups = groups,
          .width = width,
          .weight_stride = shared ? 0 : width,
          .centred = centred,
          .epsilon = epsilon};
}

class Norm : public torch::autograd::Function<Norm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const MaybeTensor& weight,
                            const MaybeTensor& bias, std::int64_t groups, bool centred, double epsilon) {
    const at::Tensor x = readable(input), w = weight.value_or(at::Tensor()), b = bias.value_or(at::Tensor());
    const at::Tensor y = at::empty({x.size(0), x.size(1)}, x.options());
    const bool shared = w.defined() && w.numel() < x.size(1);
    NormShape shape = norm_shape(x, groups, shared, centred, epsilon);
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
        NormShape part = shape;
        part.rows = count;
        row_kernels<T>().norm(part, rows_at<T>(x, first), numbers_of<T>(w), numbers_of<T>(b), rows_at<T>(y, first));
      });
    });
    context->save_for_backward({x, w});
    context->saved_data["bias"] = b.defined();
    context->saved_data["groups"] = groups;
    context->saved_data["centred"] = centred;
    context->saved_data["epsilon"] = epsilon;
    return y;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &w = saved[1], dy = readable(due[0]), dx = at::empty_like(dy);
    const std::int64_t groups = context->saved_data["groups"].toInt();
    const std::int64_t weights = w.defined() ? w.numel() : x.size(1);
    const NormShape shape = norm_shape(x, groups, weights < x.size(1), context->saved_data["centred"].toBool(),
                                       context->saved_data["epsilon"].toDouble());
    const bool bias = context->saved_data["bias"].toBool();
    const at::Tensor parts = at::zeros({chunks_of(x.size(0)), bias ? 2 : 1, weights}, x.options());
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t chunk, std::int64_t first, std::int64_t count) {
        NormShape part = shape;
        part.rows = count;
        T* sums = parts.data_ptr<T>() + chunk * parts.stride(0);
        row_gradients<T>().norm(part, rows_at<T>(x, first), numbers_of<T>(w), rows_at<T>(dy, first),
                                rows_at<T>(dx, first), w.defined() ? sums : nullptr, bias ? sums + weights : nullptr);
      });
    });
    const at::Tensor sums = sum_of_parts(parts);
    return {dx,
            w.defined() ? sums[0].view(w.sizes()) : at::Tensor(),
            bias ? sums[1].view(w.sizes()) : at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

class Activated : public torch::autograd::Function<Activated> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, std::int64_t activation) {
    const at::Tensor x = readable(input), y = at::empty({x.size(0), x.size(1)}, x.options());
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
        row_kernels<T>().activate(static_cast<Activation>(activation), count, x.size(1), rows_at<T>(x, first),
                                  rows_at<T>(y, first));
      });
    });
    context->save_for_backward({x});
    context->saved_data["activation"] = activation;
    return y;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const at::Tensor x = context->get_saved_variables()[0], dy = readable(due[0]), dx = at::empty_like(dy);
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
        row_gradients<T>().activate(activation, count, x.size(1), rows_at<T>(x, first), rows_at<T>(dy, first),
                                    rows_at<T>(dx, first));
      });
    });
    return {dx, at::Tensor()};
  }
};

class Gated : public torch::autograd::Function<Gated> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, std::int64_t activation,
                            double up_offset, double limit) {
    const at::Tensor x = readable(input);
    const std::int64_t width = x.size(1) / 2;
    const at::Tensor y = at::empty({x.size(0), width}, x.options());
    const GateShape shape{static_cast<Activation>(activation), up_offset, limit};
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
        const RowsAt<T> gate = rows_at<T>(x, first);
        row_kernels<T>().gate(shape, count, width, gate, RowsAt<T>{gate.data + width, gate.stride},
                              rows_at<T>(y, first));
      });
    });
    context->save_for_backward({x});
    context->saved_data["activation"] = activation;
    context->saved_data["up_offset"] = up_offset;
    context->saved_data["limit"] = limit;
    return y;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const at::Tensor x = context->get_saved_variables()[0], dy = readable(due[0]);
    const at::Tensor dx = at::empty({x.size(0), x.size(1)}, x.options());
    const std::int64_t width = x.size(1) / 2;
    const GateShape shape{static_cast<Activation>(context->saved_data["activation"].toInt()),
                          context->saved_data["up_offset"].toDouble(), context->saved_data["limit"].toDouble()};
    with_type(x, [&]<class T>() {
      for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
        const RowsAt<T> gate = rows_at<T>(x, first), d_gate = rows_at<T>(dx, first);
        row_gradients<T>().gate(shape, count, width, gate, RowsAt<T>{gate.data + width, gate.stride},
                                rows_at<T>(dy, first), d_gate, RowsAt<T>{d_gate.data + width, d_gate.stride});
      });
    });
    return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Rotates columns [column, column + width) of x where they lie; back: by the opposite angles.
void rotate(const at::Tensor& x, std::int64_t column, std::int64_t width, const Rotation& of, bool back) {
  const at::Tensor table = back ? [&] {
    at::Tensor opposite = of.angles.table.clone();
    opposite.select(1, 1).neg_();
    return opposite;
  }()
                                : of.angles.table;
  const RotaryShape shape{
      .rows = 0, .heads = of.heads, .head_stride = width / of.heads, .pairs = of.pairs, .neighbours = of.neighbours};
  with_type(x, [&]<class T>() {
    for_row_chunks(x.size(0), [&](std::int64_t, std::int64_t first, std::int64_t count) {
      RotaryShape part = shape;
      part.rows = count;
      RowsAt<T> rows = rows_at<T>(x, first);
      rows.data += column + of.first;
      row_kernels<T>().rotate(part, table.data_ptr<T>(), of.angles.places.data_ptr<std::int64_t>() + first, rows);
    });
  });
}

// What a node keeps of its rotations.
struct KeptRotations {
  std::vector<std::int64_t> numbers;  // four each, 0 heads where there is none
  Tensors tensors;                    // table and places of each that there is
};

KeptRotations kept(const std::vector<std::optional<Rotation>>& rotations) {
  KeptRotations all;
  for (const auto& r : rotations) {
    const Rotation of = r.value_or(Rotation{});
    all.numbers.insert(all.numbers.end(), {r ? of.heads : 0, of.first, of.pairs, of.neighbours ? 1 : 0});
    if (r) all.tensors.insert(all.tensors.end(), {of.angles.table, of.angles.places});
  }
  return all;
}

std::vector<std::optional<Rotation>> rotations_of(const std::vector<std::int64_t>& numbers, const Tensors& tensors) {
  std::vector<std::optional<Rotation>> all(numbers.size() / 4);
  auto tensor = tensors.begin();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::int64_t* n = numbers.data() + 4 * i;
    if (n[0] == 0) continue;
    all[i] = Rotation{n[0], n[1], n[2], n[3] != 0, {tensor[0], tensor[1]}};
    tensor += 2;
  }
  return all;
}

class Split : public torch::autograd::Function<Split> {
 public:
  static Tensors forward(AutogradContext* context, const at::Tensor& x, const std::vector<std::int64_t>& widths,
                         const std::vector<std::int64_t>& numbers, at::TensorList tensors) {
    const Tensors angles = tensors.vec();
    const auto rotations = rotations_of(numbers, angles);
    Tensors parts;
    std::int64_t column = 0;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (rotations[i]) rotate(x, column, widths[i], *rotations[i], false);
      parts.push_back(x.narrow(1, column, widths[i]));
      column += widths[i];
    }
    context->save_for_backward(angles);
    context->saved_data["numbers"] = numbers;
    context->saved_data["widths"] = widths;
    context->saved_data["tensors"] = static_cast<std::int64_t>(angles.size());
    context->saved_data["rows"] = x.size(0);
    context->set_materialize_grads(false);
    return parts;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const std::vector<std::int64_t> widths = context->saved_data["widths"].toIntVector();
    const auto rotations = rotations_of(context->saved_data["numbers"].toIntVector(), context->get_saved_variables());
    std::int64_t width = 0;
    for (const std::int64_t each : widths) width += each;
    const std::int64_t rows = context->saved_data["rows"].toInt();
    at::Tensor all;
    if (lie_side_by_side(due, widths, width)) {
      all = due[0].as_strided({rows, width}, {width, 1});
    } else {
      const at::Tensor like = *std::find_if(due.begin(), due.end(), [](const at::Tensor& d) { return d.defined(); });
      all = at::empty({rows, width}, like.options());
      std::int64_t column = 0;
      for (std::size_t i = 0; i < widths.size(); ++i) {
        const at::Tensor part = all.narrow(1, column, widths[i]);
        due[i].defined() ? part.copy_(due[i]) : part.zero_();
        column += widths[i];
      }
    }
    std::int64_t column = 0;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (rotations[i]) rotate(all, column, widths[i], *rotations[i], true);
      column += widths[i];
    }
    Tensors result(3 + static_cast<std::size_t>(context->saved_data["tensors"].toInt()));
    result[0] = all;
    return result;
  }

 private:
  // Whether what the parts are due is laid out as the whole already, as attend() leaves it.
  static bool lie_side_by_side(const Tensors& due, const std::vector<std::int64_t>& widths, std::int64_t width) {
    std::int64_t column = 0;
    for (std::size_t i = 0; i < due.size(); ++i) {
      if (!due[i].defined() || due[i].numel() == 0 || !due[i].is_alias_of(due[0])) return false;
      if (due[i].strides() != at::IntArrayRef({width, 1})) return false;
      if (due[i].storage_offset() != due[0].storage_offset() + column) return false;
      column += widths[i];
    }
    return true;
  }
};

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& residual,
                   ProductPrecision precision) {
  if (attention::takes_plain_operators(x)) return plain::product(x, weight, bias, residual, precision);
  return Product::apply(x, weight, maybe(bias), maybe(residual), static_cast<std::int64_t>(precision));
}

at::Tensor norm(const at::Tensor& x, const NormDescription& of, const at::Tensor& weight, const at::Tensor& bias,
                std::int64_t groups) {
  if (attention::takes_plain_operators(x)) return plain::norm(x, of, weight, bias, groups);
  return Norm::apply(x, maybe(weight), maybe(bias), groups, of.kind == NormKind::kLayer, of.epsilon);
}

at::Tensor activated(const at::Tensor& x, Activation activation) {
  if (attention::takes_plain_operators(x)) return plain::activated(x, activation);
  return Activated::apply(x, static_cast<std::int64_t>(activation));
}

at::Tensor gated(const at::Tensor& x, const FeedForwardDescription& of) {
  if (attention::takes_plain_operators(x)) return plain::gated(x, of);
  return Gated::apply(x, static_cast<std::int64_t>(of.activation), of.up_offset,
                      of.limit.value_or(std::numeric_limits<double>::infinity()));
}

std::vector<at::Tensor> split(const at::Tensor& x, const std::vector<std::int64_t>& widths,
                              const std::vector<std::optional<Rotation>>& rotations) {
  if (attention::takes_plain_operators(x)) return plain::split(x, widths, rotations);
  const KeptRotations of = kept(rotations);
  return Split::apply(x, widths, of.numbers, at::TensorList(of.tensors));
}

at::Tensor rotated(const at::Tensor& x, const Rotation& rotation) {
  return split(x.clone(), {x.size(1)}, {rotation})[0];
}

}  // namespace polariscope::models::language
