#include "polariscope/models/transformer.h"

#include "polariscope/base/error.h"
#include "polariscope/reweighting/attention_form.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <vector>

namespace polariscope::models {
namespace {

// What the paper's code adds to sums that it divides by.
constexpr double kSumOffset = 1e-9;

const reweighting::AttentionForm& form_of(const ModelOptions& o) {
  return reweighting::find_attention_form(o.attention);
}

void require_positive(std::string_view what, std::int64_t found) {
  if (found < 1) throw Error("the transformer's {} must be positive, found {}", what, found);
}

const ModelOptions& checked(const ModelOptions& o) {
  form_of(o);
  const ModelShape& s = o.shape;
  require_positive("number of layers", s.layers);
  require_positive("number of heads", s.heads);
  require_positive("width", s.width);
  require_positive("vocabulary", s.vocabulary);
  require_positive("number of outputs", s.outputs);
  require_positive("longest sequence", s.longest);
  if (s.width % s.heads != 0) throw Error("heads must divide the width {}, found {} heads", s.width, s.heads);
  if (o.architecture.positions == Positions::kConcat && s.width % 2 != 0) {
    throw Error("positions \"concat\" share the width with the tokens: it must be even, found {}", s.width);
  }
  return o;
}

// Whether the weights depend on queries and keys at all.
bool has_scores(const reweighting::AttentionForm& form) { return form.weight != reweighting::WeightFunction::kOne; }

attention::AttendOptions attend_options(const ModelOptions& o) {
  const reweighting::AttentionForm& form = form_of(o);
  attention::AttendOptions options{.reweighting = std::string(form.name), .causal = o.shape.causal};
  if (reweighting::has_sum_offset(form)) options.parameters.emplace_back("sum_offset", kSumOffset);
  return options;
}

std::string layer_prefix(const Architecture& architecture, std::int64_t layer) {
  return fmt::format(fmt::runtime(architecture.names.layer), layer);
}

std::string parameter(std::string_view prefix, std::string_view name, std::string_view of) {
  return fmt::format("{}{}.{}", prefix, name, of);
}

// A model's parameters in the order of its row.
class Specs {
 public:
  Specs(const Architecture& architecture) : architecture_(architecture) {}

  void add_embedding(std::string_view name, std::int64_t count, std::int64_t width) {
    specs_.push_back({{parameter("", name, "weight")}, {count, width}, architecture_.embeddings});
  }
  void add_linear(std::string_view prefix, std::initializer_list<std::string_view> names, std::int64_t inputs,
                  std::int64_t outputs_each, bool trained = true) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
    const auto outputs = static_cast<std::int64_t>(names.size()) * outputs_each;
    ParameterSpec weight{{}, {outputs, inputs}, architecture_.linear, bound, trained};
    ParameterSpec bias{{}, {outputs}, architecture_.linear, bound, trained};
    for (const std::string_view name : names) {
      weight.names.push_back(parameter(prefix, name, "weight"));
      bias.names.push_back(parameter(prefix, name, "bias"));
    }
    specs_.push_back(weight);
    specs_.push_back(bias);
  }
  void add_norm(std::string_view prefix, std::string_view name, std::int64_t width) {
    if (!architecture_.layer_norm) return;
    specs_.push_back({{parameter(prefix, name, "weight")}, {width}, Start::kOnes});
    specs_.push_back({{parameter(prefix, name, "bias")}, {width}, Start::kZeros});
  }
  void add_zeros(std::string_view prefix, std::string_view name, std::int64_t count) {
    specs_.push_back({{fmt::format("{}{}", prefix, name)}, {count}, Start::kZeros});
  }

  std::vector<ParameterSpec> take() { return std::move(specs_); }

 private:
  const Architecture& architecture_;
  std::vector<ParameterSpec> specs_;
};

std::vector<ParameterSpec> specs_of(const ModelOptions& o) {
  const Architecture& a = o.architecture;
  const TensorNames& names = a.names;
  const ModelShape& s = o.shape;
  const reweighting::AttentionForm& form = form_of(o);
  const std::int64_t embedded = a.positions == Positions::kConcat ? s.width / 2 : s.width;
  const std::int64_t head_width = s.width / s.heads;
  Specs specs(a);
  if (a.positions != Positions::kNone) specs.add_embedding(names.positions, s.longest, embedded);
  specs.add_embedding(names.tokens, s.vocabulary, embedded);
  for (std::int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = layer_prefix(a, i);
    if (has_scores(form)) {
      specs.add_linear(layer, {names.query, names.key, names.value}, s.width, s.width);
    } else {
      specs.add_linear(layer, {names.query, names.key}, s.width, s.width, false);
      specs.add_linear(layer, {names.value}, s.width, s.width);
    }
    specs.add_linear(layer, {names.attention_output}, s.width, s.width);
    specs.add_norm(layer, names.attention_norm, s.width);
    if (a.mlp) {
      specs.add_norm(layer, names.mlp_norm, s.width);
      specs.add_linear(layer, {names.mlp_in}, s.width, a.hidden_ratio * s.width);
      specs.add_linear(layer, {names.mlp_out}, a.hidden_ratio * s.width, s.width);
    }
    if (form.learned_sink) specs.add_zeros(layer, names.sink, s.heads);
    if (form.maps_queries) {
      specs.add_linear(layer, {names.map_in}, head_width, a.hidden_ratio * head_width);
      specs.add_linear(layer, {names.map_out}, a.hidden_ratio * head_width, head_width);
    }
  }
  specs.add_norm("", names.final_norm, s.width);
  specs.add_linear("", {names.output}, s.width, s.outputs);
  return specs.take();
}

}  // namespace

Transformer::Transformer(const ModelOptions& options, at::ScalarType type, std::uint64_t seed)
    : Model(checked(options).shape, {specs_of(options), type, seed}),
      architecture_(options.architecture),
      attend_(attend_options(options)),
      form_(form_of(options)) {}

LinearParameters Transformer::linear_of(std::string_view layer, std::string_view name) const {
  return {parameters().tensor(parameter(layer, name, "weight")), parameters().tensor(parameter(layer, name, "bias"))};
}

NormParameters Transformer::norm_of(std::string_view layer, std::string_view name) const {
  if (!architecture_.layer_norm) return {};
  return {parameters().tensor(parameter(layer, name, "weight")), parameters().tensor(parameter(layer, name, "bias"))};
}

at::Tensor Transformer::forward(const at::Tensor& tokens, const LayerObserver& observer) const {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong) {
    throw Error("the transformer's tokens must be int64 [batch, length]");
  }
  const TensorNames& names = architecture_.names;
  const bool placed = architecture_.positions != Positions::kNone;
  const std::int64_t batch = tokens.size(0), length = tokens.size(1), width = shape().width;
  if (placed && length > shape().longest) {
    throw Error("a sequence has {} tokens: the model was made for at most {}", length, shape().longest);
  }
  at::Tensor x = embed(tokens, parameters().tensor(parameter("", names.tokens, "weight")),
                       placed ? parameters().tensor(parameter("", names.positions, "weight")) : at::Tensor(),
                       architecture_.positions);
  const bool scored = has_scores(form_);
  attention::AttendOptions options = attend_;
  for (std::int64_t i = 0; i < shape().layers; ++i) {
    const std::string layer = layer_prefix(architecture_, i);
    const Branch attending =
        norm_linear(x, norm_of(layer, names.attention_norm), linear_of(layer, scored ? names.query : names.value));
    const std::vector<at::Tensor> parts = split_heads(attending.y, scored ? 3 : 1, shape().heads);
    const at::Tensor& value = parts.back();
    at::Tensor query = scored ? parts[0] : value.detach();
    at::Tensor key = scored ? parts[1] : value.detach();
    if (form_.maps_queries) {
      const auto map = [&](const at::Tensor& from) {
        return linear(linear_gelu(from.contiguous(), linear_of(layer, names.map_in)), linear_of(layer, names.map_out));
      };
      query = map(query);
      key = map(key);
    }
    if (form_.learned_sink) options.sink = parameters().tensor(layer + std::string(names.sink));
    const attention::TensorAttention attention = attention::attend(query, key, value, options, observer.statistics);
    if (observer.see) observer.see({i, attention.statistics, query, key, options});
    const at::Tensor mixed = attention.output.transpose(1, 2).reshape({batch, length, width});
    x = add_linear(attending.x, mixed, linear_of(layer, names.attention_output));
    if (architecture_.mlp) {
      x = add_mlp(x, norm_of(layer, names.mlp_norm), linear_of(layer, names.mlp_in), linear_of(layer, names.mlp_out));
    }
  }
  return norm_linear(x, norm_of("", names.final_norm), linear_of("", names.output)).y;
}

}  // namespace polariscope::models
