#include "polariscope/models/language/tensor_operations.h"

#include "polariscope/base/error.h"
#include "polariscope/models/language/sigma_reparam.h"
#include "polariscope/models/pretrained/attention_of.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>

#include <cmath>

namespace polariscope::models::language {
namespace {

// Of positions 0 … length - 1, in each of `batch` texts.
Angles angles_of(const Rotary& rotary, std::int64_t batch, std::int64_t length, const at::TensorOptions& as) {
  const RotaryTable frequencies = rotary_table(rotary, length);
  const std::int64_t pairs = rotary.width / 2;
  const at::Tensor table = at::empty({length, 2, pairs}, at::kDouble);
  auto* to = table.data_ptr<double>();
  for (std::int64_t p = 0; p < length; ++p, to += 2 * pairs) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * frequencies.frequencies[i];
      to[i] = std::cos(angle) * frequencies.factor;
      to[pairs + i] = std::sin(angle) * frequencies.factor;
    }
  }
  return {table.to(as), at::arange(length, as.dtype(at::kLong)).repeat({batch})};
}

// [rows, heads · width] as [batch, heads, length, width].
at::Tensor by_heads(const at::Tensor& rows, std::int64_t batch, std::int64_t heads) {
  const std::int64_t length = rows.size(0) / batch;
  return rows.view({batch, length, heads, rows.size(1) / heads}).transpose(1, 2);
}

}  // namespace

const at::Tensor& TensorRows::numbers() const {
  if (!of) return own;
  if (of->parts.empty()) of->parts = split(of->all, of->widths, of->rotations);
  return of->parts[part];
}

void TensorOperations::begin(const TokenBatch& texts) {
  batch_ = texts.texts();
  length_ = texts.rows() / batch_;
  const at::TensorOptions numbers = parameters_.values().options();
  tokens_ = at::empty({texts.rows()}, at::kLong);
  std::copy(texts.ids().begin(), texts.ids().end(), tokens_.data_ptr<std::int64_t>());
  tokens_ = tokens_.to(numbers.device());
  positions_ = at::arange(length_, numbers.dtype(at::kLong)).repeat({batch_});
  angles_.clear();
  for (const Rotary& rotary : model_.rotary) angles_.push_back(angles_of(rotary, batch_, length_, numbers));
}

void TensorOperations::load(Matrix& to, const std::vector<std::string>& names) const {
  to.weight = reparametrised(parameters_, names.front());
  const std::string bias = parameter::bias(names.front());
  to.bias = parameters_.has(bias) ? parameters_.tensor(bias) : at::Tensor();
}

void TensorOperations::load(Norm& to, const std::string& name) const {
  const std::string bias = parameter::bias(name);
  to.weight = parameters_.has(name) ? parameters_.tensor(name) : at::Tensor();
  to.bias = parameters_.has(bias) ? parameters_.tensor(bias) : at::Tensor();
}

void TensorOperations::load(Vector& to, const std::string& name) const { to = parameters_.tensor(name); }

TensorRows TensorOperations::token_rows(const std::string& table, TokenRange) const {
  return TensorRows(at::embedding(parameters_.tensor(table), tokens_));
}

TensorRows TensorOperations::position_rows(const std::string& table, TokenRange, std::int64_t offset) const {
  return TensorRows(at::embedding(parameters_.tensor(table), positions_ + offset));
}

TensorRows TensorOperations::first_rows(const std::string& table, TokenRange range) const {
  const at::Tensor& rows = parameters_.tensor(table);
  return TensorRows(rows.narrow(0, 0, 1).expand({range.count, rows.size(1)}));
}

TensorRows TensorOperations::product(const Array& x, const Matrix& matrix) const {
  return TensorRows(language::product(x.numbers(), matrix.weight, matrix.bias, {}, precision_));
}

TensorRows TensorOperations::product_added(const Array& to, const Array& x, const Matrix& matrix) const {
  return TensorRows(language::product(x.numbers(), matrix.weight, matrix.bias, to.numbers(), precision_));
}

TensorRows TensorOperations::norm(const Array& x, const NormDescription& of, const Norm& norm, std::int64_t groups,
                                  bool) const {
  return TensorRows(language::norm(x.numbers(), of, norm.weight, norm.bias, groups));
}

TensorRows TensorOperations::rotated(Array x, std::int64_t rotary, std::int64_t heads, std::int64_t first,
                                     TokenRange) const {
  const Rotary& of = model_.rotary[rotary];
  const Rotation rotation{heads, first, of.width / 2, of.neighbours, angles_[rotary]};
  if (x.of && x.of->parts.empty()) {
    x.of->rotations[x.part] = rotation;
    return x;
  }
  return TensorRows(language::rotated(x.numbers(), rotation));
}

TensorRows TensorOperations::with_shared_end(const Array& x, std::int64_t heads, const Array& end) const {
  const at::Tensor own = x.numbers().reshape({x.rows, heads, -1});
  const at::Tensor shared = end.numbers().reshape({x.rows, 1, end.width}).expand({x.rows, heads, end.width});
  return TensorRows(at::cat({own, shared}, 2).reshape({x.rows, -1}));
}

TensorRows TensorOperations::scaled(const Array& x, double factor) const {
  return factor == 1.0 ? x : TensorRows(x.numbers() * factor);
}
TensorRows TensorOperations::add(const Array& x, const Array& y) const { return TensorRows(x.numbers() + y.numbers()); }
TensorRows TensorOperations::clipped(const Array& x, double limit) const {
  return TensorRows(at::clamp(x.numbers(), -limit, limit));
}
TensorRows TensorOperations::activated(const Array& x, Activation activation) const {
  return TensorRows(language::activated(x.numbers(), activation));
}
TensorRows TensorOperations::gated(const Array& x, const FeedForwardDescription& of) const {
  return TensorRows(language::gated(x.numbers(), of));
}
TensorRows TensorOperations::times_sigmoid(const Array& x, const Array& gates) const {
  return TensorRows(x.numbers() * at::sigmoid(gates.numbers()));
}

attention::AttendOptions TensorOperations::attend_options(const AttentionDescription& of, std::int64_t length,
                                                          const at::Tensor& sink) const {
  const at::TensorOptions numbers = parameters_.values().options();
  attention::AttendOptions options{.scale = of.scale, .causal = model_.causal};
  if (of.window) options.window = *of.window;
  reweighting::AttentionForm form = attention_form_of(of);
  if (of.soft_cap && form.name != "softcap") {
    if (of.sink || of.constant_sink)
      throw Error("attention with a soft cap and a sink: the two are not known together");
    form = reweighting::find_attention_form("softcap");
  }
  if (of.soft_cap) options.parameters.emplace_back("transform_factor", *of.soft_cap);
  options.reweighting = std::string(form.name);
  if (sink.defined()) options.sink = sink;
  if (of.constant_sink) options.sink = at::full({of.heads}, *of.constant_sink, numbers);
  const AttentionExtras<double> extras = attention_extras_of<double>(of, length);
  if (!extras.slopes.empty()) options.slopes = at::tensor(extras.slopes, numbers);
  if (!extras.bias.empty()) {
    const auto heads = static_cast<std::int64_t>(extras.bias.size()) / length;
    options.bias = at::tensor(extras.bias, numbers).view({1, heads, 1, length});
  }
  return options;
}

TensorRows TensorOperations::attention(const AttentionDescription& of, std::int64_t layer,
                                       const std::array<Array, 3>& inputs, const Vector& sink) {
  const at::Tensor query = by_heads(inputs[0].numbers(), batch_, of.heads);
  const at::Tensor key = by_heads(inputs[1].numbers(), batch_, of.key_heads);
  const at::Tensor value = by_heads(inputs[2].numbers(), batch_, of.key_heads);
  const attention::AttendOptions options = attend_options(of, length_, of.sink ? sink : at::Tensor());
  const attention::TensorAttention result = attention::attend(query, key, value, options, observer_.statistics);
  if (observer_.see) observer_.see({layer, result.statistics, query, key, options});
  return TensorRows(result.output.transpose(1, 2).reshape({batch_ * length_, of.heads * of.value_width}));
}

}  // namespace polariscope::models::language
