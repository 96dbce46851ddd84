#include "polariscope/train/evaluation.h"

#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/frobenius_norm.h"
#include "polariscope/metrics/row_sum.h"
#include "polariscope/metrics/sink_rate.h"
#include "polariscope/metrics/sink_score.h"
#include "polariscope/metrics/sparsity_score.h"
#include "polariscope/reweighting/attention_form.h"
#include "polariscope/train/flip_rates.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace polariscope::train {
namespace {

metrics::AttentionMap<float> map_of(const at::Tensor& weights, bool causal) {
  return {.values = {weights.data_ptr<float>(), static_cast<std::size_t>(weights.numel())},
          .samples = weights.size(0),
          .heads = weights.size(1),
          .queries = weights.size(2),
          .keys = weights.size(3),
          .causal = causal};
}

void add(std::vector<HeadEvaluation>& heads, std::int64_t layer, metrics::Mean HeadEvaluation::*member,
         const std::vector<metrics::Mean>& means) {
  const auto each = static_cast<std::int64_t>(means.size());
  for (std::int64_t h = 0; h < each; ++h) (heads[layer * each + h].*member).add(means[h]);
}

// weights: [sequences, heads, length, length].
void add_layer(std::vector<HeadEvaluation>& heads, std::int64_t layer, const at::Tensor& weights, bool causal,
               bool negative) {
  const metrics::AttentionMap<float> map = map_of(weights, causal);
  const auto put = [&](metrics::Mean HeadEvaluation::*member, const std::vector<metrics::Mean>& means) {
    add(heads, layer, member, means);
  };
  put(&HeadEvaluation::entropy, negative ? metrics::abs_entropy(map) : metrics::entropy(map));
  put(&HeadEvaluation::relative_entropy,
      negative ? metrics::abs_relative_entropy(map) : metrics::relative_entropy(map));
  put(&HeadEvaluation::sparsity, negative ? metrics::abs_sparsity_score(map) : metrics::sparsity_score(map));
  put(&HeadEvaluation::maximum, metrics::maximum_weight(map));
  put(&HeadEvaluation::frobenius_norm, metrics::frobenius_norm(map));
  put(&HeadEvaluation::row_sum, metrics::row_sum(map));
  put(&HeadEvaluation::first_token_share, metrics::first_token_share(map));
  put(&HeadEvaluation::first_token_ratio, metrics::first_token_ratio_of_sums(map));
  put(&HeadEvaluation::importance, metrics::importance_score(map, 0));
  put(&HeadEvaluation::sinks, metrics::sink_rate(map));
  const std::int64_t each = map.heads, pairs = map.queries * map.keys;
  for (std::int64_t h = 0; h < each; ++h) {
    std::vector<double>& mean = heads[layer * each + h].map;
    mean.resize(static_cast<std::size_t>(pairs));
    for (std::int64_t s = 0; s < map.samples; ++s) {
      const float* one = map.values.data() + (s * each + h) * pairs;
      for (std::int64_t i = 0; i < pairs; ++i) mean[i] += static_cast<double>(one[i]);
    }
  }
}

}  // namespace

Evaluation evaluate(const models::Model& model, const TaskBatches& task, const TrainingOptions& options) {
  const at::NoGradGuard guard;
  const models::ModelShape& shape = model.shape();
  const bool negative = reweighting::is_signed(reweighting::find_attention_form(options.attention));
  Evaluation result;
  result.heads.resize(static_cast<std::size_t>(shape.layers * shape.heads));
  for (std::int64_t i = 0; i < shape.layers * shape.heads; ++i) {
    result.heads[i].layer = i / shape.heads;
    result.heads[i].head = i % shape.heads;
  }
  std::optional<FlipRates> flips;
  if (options.task == "token-groups") flips.emplace(task, options);
  std::vector<std::int64_t> examples;
  for (std::int64_t first = 0; first < options.evaluation_sequences; first += options.batch) {
    examples.resize(static_cast<std::size_t>(std::min(options.batch, options.evaluation_sequences - first)));
    std::iota(examples.begin(), examples.end(), first);
    const Batch batch = task.batch(tasks::Split::kEvaluation, examples);
    const auto see = [&](const models::LayerAttention& layer) {
      const at::Tensor weights = layer.weights().to(at::kFloat);
      add_layer(result.heads, layer.layer, weights, shape.causal, negative);
      if (flips) flips->add_layer(first, layer.layer, weights);
    };
    const at::Tensor logits = model.forward(batch.tokens, {.see = see});
    if (flips) flips->add(first, batch);
    const double share = static_cast<double>(examples.size()) / static_cast<double>(options.evaluation_sequences);
    result.loss += share * task.loss(logits, batch.targets).item<double>();
    result.accuracy += share * task.accuracy(logits, batch.targets);
    result.length = batch.tokens.size(1);
  }
  for (HeadEvaluation& head : result.heads) {
    for (double& weight : head.map) weight /= static_cast<double>(options.evaluation_sequences);
  }
  for (std::int64_t layer = 0; flips && layer < shape.layers; ++layer) {
    add(result.heads, layer, &HeadEvaluation::flips, flips->of_layer(layer, model));
  }
  return result;
}

}  // namespace polariscope::train
