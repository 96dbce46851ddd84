#include "polariscope/models/transformer.h"

#include "polariscope/base/error.h"
#include "polariscope/reweighting/attention_form.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cmath>

namespace polariscope::models {
namespace {

// What the paper's code adds to sums that it divides by.
constexpr double kSumOffset = 1e-9;

void require_positive(std::string_view what, std::int64_t found) {
  if (found < 1) throw Error("the transformer's {} must be positive, found {}", what, found);
}

const TransformerOptions& checked(const TransformerOptions& o) {
  reweighting::find_attention_form(o.attention);
  require_positive("number of layers", o.layers);
  require_positive("number of heads", o.heads);
  require_positive("width", o.width);
  require_positive("vocabulary", o.vocabulary);
  require_positive("number of outputs", o.outputs);
  require_positive("longest sequence", o.longest);
  if (o.width % o.heads != 0) throw Error("heads must divide the width {}, found {} heads", o.width, o.heads);
  if (o.positions == Positions::kConcat && o.width % 2 != 0) {
    throw Error("positions \"concat\" share the width with the tokens: it must be even, found {}", o.width);
  }
  return o;
}

// Whether the weights depend on queries and keys at all.
bool has_scores(const reweighting::AttentionForm& form) { return form.weight != reweighting::WeightFunction::kOne; }

bool maps_queries(const reweighting::AttentionForm& form) { return form.name == "mlp" || form.name == "mlp/max1"; }

attention::AttendOptions attend_options(const TransformerOptions& o) {
  const reweighting::AttentionForm& form = reweighting::find_attention_form(o.attention);
  attention::AttendOptions options{.reweighting = std::string(form.name), .causal = o.causal};
  const bool offset = form.rule == reweighting::RowRule::kElementwise &&
                      form.normaliser == reweighting::Normaliser::kSum &&
                      form.weight != reweighting::WeightFunction::kExp;
  if (offset) options.parameters.emplace_back("sum_offset", kSumOffset);
  return options;
}

void add_linear(std::vector<ParameterSpec>& specs, const std::vector<std::string>& names, std::int64_t inputs,
                std::int64_t outputs_each) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
  const auto outputs = static_cast<std::int64_t>(names.size()) * outputs_each;
  ParameterSpec weight{{}, {outputs, inputs}, Start::kUniform, bound}, bias{{}, {outputs}, Start::kUniform, bound};
  for (const std::string& name : names) {
    weight.names.push_back(name + ".weight");
    bias.names.push_back(name + ".bias");
  }
  specs.push_back(weight);
  specs.push_back(bias);
}

void add_norm(std::vector<ParameterSpec>& specs, const std::string& name, std::int64_t width) {
  specs.push_back({{name + ".weight"}, {width}, Start::kOnes});
  specs.push_back({{name + ".bias"}, {width}, Start::kZeros});
}

std::vector<ParameterSpec> specs_of(const TransformerOptions& o) {
  const std::int64_t each = o.positions == Positions::kConcat ? o.width / 2 : o.width;
  const std::int64_t head_width = o.width / o.heads;
  const reweighting::AttentionForm& form = reweighting::find_attention_form(o.attention);
  std::vector<ParameterSpec> specs;
  if (o.positions != Positions::kNone) specs.push_back({{"pos_embedding.weight"}, {o.longest, each}, Start::kNormal});
  specs.push_back({{"embedding.weight"}, {o.vocabulary, each}, Start::kNormal});
  for (std::int64_t i = 0; i < o.layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i);
    if (has_scores(form)) {
      add_linear(specs, {layer + "q_proj", layer + "k_proj", layer + "v_proj"}, o.width, o.width);
    } else {
      add_linear(specs, {layer + "q_proj", layer + "k_proj"}, o.width, o.width);
      for (std::size_t last = specs.size(); last-- > specs.size() - 2;) specs[last].trained = false;
      add_linear(specs, {layer + "v_proj"}, o.width, o.width);
    }
    add_linear(specs, {layer + "o_proj"}, o.width, o.width);
    if (o.layer_norm) add_norm(specs, layer + "norm1", o.width);
    if (o.layer_norm && o.mlp) add_norm(specs, layer + "norm2", o.width);
    if (o.mlp) {
      add_linear(specs, {layer + "mlp.0"}, o.width, 4 * o.width);
      add_linear(specs, {layer + "mlp.2"}, 4 * o.width, o.width);
    }
    if (maps_queries(form)) {
      add_linear(specs, {layer + "attn_mlp.0"}, head_width, 4 * head_width);
      add_linear(specs, {layer + "attn_mlp.2"}, 4 * head_width, head_width);
    }
  }
  if (o.layer_norm) add_norm(specs, "final_norm", o.width);
  add_linear(specs, {"output_proj"}, o.width, o.outputs);
  return specs;
}

}  // namespace

Transformer::Transformer(const TransformerOptions& options, at::ScalarType type, std::uint64_t seed)
    : options_(checked(options)),
      attend_(attend_options(options_)),
      scored_(has_scores(reweighting::find_attention_form(options_.attention))),
      mapped_(maps_queries(reweighting::find_attention_form(options_.attention))),
      parameters_(specs_of(options_), type, seed) {}

LinearParameters Transformer::linear_of(const std::string& name) const {
  return {parameters_.tensor(name + ".weight"), parameters_.tensor(name + ".bias")};
}

NormParameters Transformer::norm_of(const std::string& name) const {
  if (!options_.layer_norm) return {};
  return {parameters_.tensor(name + ".weight"), parameters_.tensor(name + ".bias")};
}

Transformer::Result Transformer::forward(const at::Tensor& tokens, const std::vector<std::string>& statistics,
                                         bool with_weights) const {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong) {
    throw Error("the transformer's tokens must be int64 [batch, length]");
  }
  const std::int64_t batch = tokens.size(0), length = tokens.size(1), width = options_.width, heads = options_.heads;
  if (options_.positions != Positions::kNone && length > options_.longest) {
    throw Error("a sequence has {} tokens: the model was made for at most {}", length, options_.longest);
  }
  Result result;
  at::Tensor x =
      embed(tokens, parameters_.tensor("embedding.weight"),
            options_.positions != Positions::kNone ? parameters_.tensor("pos_embedding.weight") : at::Tensor(),
            options_.positions);
  for (std::int64_t i = 0; i < options_.layers; ++i) {
    const std::string layer = fmt::format("layers.{}.", i);
    const Branch attending =
        norm_linear(x, norm_of(layer + "norm1"), linear_of(layer + (scored_ ? "q_proj" : "v_proj")));
    const std::vector<at::Tensor> parts = split_heads(attending.y, scored_ ? 3 : 1, heads);
    const at::Tensor& value = parts.back();
    at::Tensor query = scored_ ? parts[0] : value.detach();
    at::Tensor key = scored_ ? parts[1] : value.detach();
    if (mapped_) {
      const auto map = [&](const at::Tensor& from) {
        return linear(linear_gelu(from.contiguous(), linear_of(layer + "attn_mlp.0")), linear_of(layer + "attn_mlp.2"));
      };
      query = map(query);
      key = map(key);
    }
    const attention::TensorAttention attention = attention::attend(query, key, value, attend_, statistics);
    result.statistics.push_back(attention.statistics);
    if (with_weights) result.weights.push_back(attention::attention_weights(query, key, attend_));
    const at::Tensor mixed = attention.output.transpose(1, 2).reshape({batch, length, width});
    x = add_linear(attending.x, mixed, linear_of(layer + "o_proj"));
    if (options_.mlp) {
      x = add_mlp(x, norm_of(layer + "norm2"), linear_of(layer + "mlp.0"), linear_of(layer + "mlp.2"));
    }
  }
  result.logits = norm_linear(x, norm_of("final_norm"), linear_of("output_proj")).y;
  return result;
}

}  // namespace polariscope::models
