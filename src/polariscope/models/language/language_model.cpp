#include "polariscope/models/language/language_model.h"

#include "polariscope/base/error.h"
#include "polariscope/models/language/sigma_reparam.h"
#include "polariscope/models/pretrained/layer_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tanh.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

namespace polariscope::models::language {
namespace {

constexpr int kFirstIterations = 15;  // from drawn vectors, as PyTorch's spectral norm has it

// Which parameters one product multiplies with, learnt from who loads them.
struct Loads {
  struct Matrix {};
  struct Norm {};
  struct Vector {};

  void load(Matrix&, const std::vector<std::string>& names) { matrices.push_back(names); }
  void load(Norm&, const std::string& name) { norms.push_back(name); }
  void load(Vector&, const std::string& name) { vectors.push_back(name); }

  std::vector<std::vector<std::string>> matrices;
  std::vector<std::string> norms, vectors;
};

Loads loads_of(const LayerDescription& of, std::int64_t number) {
  Loads loads;
  LayerWeights<Loads> weights;
  weights.load(loads, of, number);
  if (of.feed_forward.experts) {
    for (std::int64_t e = 0; e < of.feed_forward.experts->count; ++e) {
      FeedForwardWeights<Loads> expert;
      expert.load(loads, parameter::layer(number, parameter::expert(e, ".")), of.feed_forward.gated);
    }
  }
  return loads;
}

bool has_decay(const ParameterSpec& spec) { return spec.trained && spec.start == Start::kNormal; }

class Specs {
 public:
  explicit Specs(const LanguageModelOptions& options)
      : of_(options.blueprint), deviation_(options.deviation), reparametrised_(options.sigma_reparam) {}

  void add(const std::string& name, Start start, double deviation = 0.0) {
    const auto found = of_.shapes.find(name);
    if (found == of_.shapes.end()) return;
    specs_.push_back({.names = {name}, .shape = found->second, .start = start, .deviation = deviation});
  }
  void add_norm(const std::string& name) {
    add(name, Start::kOnes);
    add(parameter::bias(name), Start::kZeros);
  }
  // One below the other, and their biases the same way.
  void add_matrix(const std::vector<std::string>& names) {
    ParameterSpec weight{
        .names = names, .shape = {}, .start = Start::kNormal, .deviation = deviation_of(names.front())};
    ParameterSpec bias{.names = {}, .shape = {}, .start = Start::kZeros};
    for (const std::string& name : names) {
      const std::vector<std::int64_t>& shape = of_.shapes.at(name);
      if (weight.shape.empty()) weight.shape = {0, shape[1]};
      weight.shape[0] += shape[0];
      weight.parts.push_back(shape[0]);
      if (of_.shapes.contains(parameter::bias(name))) bias.names.push_back(parameter::bias(name));
    }
    specs_.push_back(weight);
    if (reparametrised_) std::ranges::move(reparametrisation_of(weight), std::back_inserter(specs_));
    if (bias.names.empty()) return;
    if (bias.names.size() != names.size()) {
      throw Error("\"{}\" has a bias and another one of its product has none: such a model is not trained",
                  bias.names.front());
    }
    bias.shape = {weight.shape[0]};
    bias.parts = weight.parts;
    specs_.push_back(bias);
  }

  // Those with weight decay first: decayed().
  std::vector<ParameterSpec> take() {
    std::ranges::stable_partition(specs_, has_decay);
    return std::move(specs_);
  }

 private:
  double deviation_of(const std::string& name) const {
    const bool to_stream = name.ends_with(parameter::kOutput) || name.ends_with(".down");
    return to_stream ? deviation_ / std::sqrt(2.0 * static_cast<double>(of_.description.layers.size())) : deviation_;
  }

  const Blueprint& of_;
  double deviation_;
  bool reparametrised_;
  std::vector<ParameterSpec> specs_;
};

ModelShape shape_of(const Description& of) {
  const std::int64_t heads = of.layers.empty() ? 1 : of.layers.front().attention.heads;
  return {.layers = static_cast<std::int64_t>(of.layers.size()),
          .heads = heads,
          .width = of.width,
          .vocabulary = of.vocabulary,
          .outputs = of.vocabulary,
          .longest = of.context,
          .causal = of.causal};
}

const LanguageModelOptions& checked(const LanguageModelOptions& options) {
  if (options.blueprint.description.masked_head) {
    throw Error("a model with a masked head is no language model that is trained here");
  }
  return options;
}

TokenBatch batch_of(const Description& model, const at::Tensor& tokens) {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.numel() == 0) {
    throw Error("a language model's tokens must be int64 [batch, length], with one at least");
  }
  const at::Tensor all = tokens.contiguous();
  const auto* first = all.data_ptr<std::int64_t>();
  TokenBatch batch;
  for (std::int64_t b = 0; b < all.size(0); ++b, first += all.size(1)) {
    const std::vector<std::int32_t> ids(first, first + all.size(1));
    require_fitting(model, ids, b);
    batch.add(ids);
  }
  return batch;
}

}  // namespace

std::vector<ParameterSpec> parameter_specs(const LanguageModelOptions& options) {
  const Blueprint& of = options.blueprint;
  Specs specs(options);
  const auto table = [&](std::string_view name) { specs.add(std::string(name), Start::kNormal, options.deviation); };
  const auto matrix = [&](std::string_view name) {
    if (of.shapes.contains(name)) specs.add_matrix({std::string(name)});
  };
  table(parameter::kEmbedding);
  table(parameter::kPositions);
  table(parameter::kTokenTypes);
  matrix(parameter::kEmbeddingIn);
  specs.add_norm(std::string(parameter::kEmbeddingNorm));
  for (std::size_t n = 0; n < of.description.layers.size(); ++n) {
    const Loads loads = loads_of(of.description.layers[n], static_cast<std::int64_t>(n));
    for (const std::vector<std::string>& names : loads.matrices) specs.add_matrix(names);
    for (const std::string& name : loads.norms) specs.add_norm(name);
    for (const std::string& name : loads.vectors) specs.add(name, Start::kZeros);
  }
  specs.add_norm(std::string(parameter::kFinalNorm));
  matrix(parameter::kEmbeddingOut);
  matrix(parameter::kHead);
  if (!of.shapes.contains(parameter::kHead)) specs.add(parameter::bias(parameter::kHead), Start::kZeros);
  return specs.take();
}

std::int64_t decayed(const Parameters& parameters) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : parameters.specs()) {
    if (has_decay(spec)) count += parameters.tensor(spec.names.front()).numel();
  }
  return count;
}

LanguageModel::LanguageModel(const LanguageModelOptions& options, at::ScalarType type, std::uint64_t seed)
    : Model(shape_of(options.blueprint.description),
            Parameters(parameter_specs(checked(options)), type, seed, options.device)),
      options_(options) {
  iterate_singular_vectors(parameters(), kFirstIterations);
}

LanguageModel::LanguageModel(const LanguageModelOptions& options, at::ScalarType type, const PretrainedModel& numbers)
    : LanguageModel(options, type, 0) {
  for (const auto& [name, values] : parameters().named_values()) {
    if (!numbers.has(name)) continue;  // what the attention chosen here learns
    std::vector<float> read = numbers.read(name);
    at::Tensor(values).copy_(at::from_blob(read.data(), values.sizes(), at::kFloat));
  }
  iterate_singular_vectors(parameters(), kFirstIterations);
  gains_from_norms(parameters());
}

at::Tensor LanguageModel::head() const {
  const Description& model = blueprint().description;
  return reparametrised(parameters(), std::string(model.tied_head ? parameter::kEmbedding : parameter::kHead));
}

at::Tensor LanguageModel::head_bias() const {
  const std::string name = parameter::bias(parameter::kHead);
  return parameters().has(name) ? parameters().tensor(name) : at::Tensor();
}

at::Tensor LanguageModel::before_head(const at::Tensor& tokens, const LayerObserver& observer) const {
  const Description& model = blueprint().description;
  TensorOperations operations(model, parameters(), options_.precision, observer);
  return ForwardPass(model, operations).run(batch_of(model, tokens));
}

at::Tensor LanguageModel::forward(const at::Tensor& tokens, const LayerObserver& observer) const {
  const Description& model = blueprint().description;
  const at::Tensor x = before_head(tokens, observer);
  at::Tensor logits = product(x, head(), {}, {}, options_.precision);
  if (model.logit_scale != 1.0) logits = logits * model.logit_scale;
  if (const at::Tensor bias = head_bias(); bias.defined()) logits = logits + bias;
  if (model.logit_cap) logits = *model.logit_cap * at::tanh(logits / *model.logit_cap);
  return logits.view({tokens.size(0), tokens.size(1), model.vocabulary});
}

HeadLoss LanguageModel::loss(const at::Tensor& tokens, const at::Tensor& targets, double z_loss,
                             const LayerObserver& observer) const {
  const Description& model = blueprint().description;
  if (targets.sizes() != tokens.sizes()) throw Error("there must be as many targets as tokens");
  const at::Tensor x = before_head(tokens, observer);
  return head_loss(x, head(), head_bias(), targets.reshape({-1}),
                   {.logit_scale = model.logit_scale,
                    .logit_cap = model.logit_cap,
                    .z_loss = z_loss,
                    .precision = options_.precision});
}

}  // namespace polariscope::models::language
