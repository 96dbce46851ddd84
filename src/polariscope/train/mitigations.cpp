#include "polariscope/train/mitigations.h"

#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/attention_of.h"
#include "polariscope/models/pretrained/parameter_names.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/log.h>

#include <cmath>
#include <cstdint>
#include <string>

namespace polariscope::train {
namespace {

namespace parameter = models::parameter;

// Rows of a head in the joint matrix of queries, keys and values, and its biases.
void scale_rows(const models::Parameters& parameters, const std::string& query, std::int64_t first, std::int64_t rows,
                double factor) {
  for (const std::string& name : {query, parameter::bias(query)}) {
    if (!parameters.has(name)) continue;
    at::Tensor part = parameters.tensor(name).detach().narrow(0, first, rows);
    part.mul_(factor);
  }
}

}  // namespace

at::Tensor entropy_shortfall(const at::Tensor& entropy, double share, std::optional<std::int64_t> window) {
  at::Tensor seen = at::arange(1, entropy.size(2) + 1, entropy.options().requires_grad(false));
  if (window) seen = at::clamp_max(seen, static_cast<double>(*window));
  const at::Tensor uniform = at::log(seen);
  return at::clamp_min(uniform * share - entropy, 0.0).square().mean();
}

std::vector<double> largest_scores(const at::Tensor& logit_maximum) {
  const at::Tensor largest = logit_maximum.detach().amax({0, 2}).to(at::kDouble).cpu().contiguous();
  return {largest.data_ptr<double>(), largest.data_ptr<double>() + largest.numel()};
}

void clip_scores(models::language::LanguageModel& model, const std::vector<std::vector<double>>& scores, double limit) {
  const at::NoGradGuard guard;
  for (std::size_t layer = 0; layer < scores.size(); ++layer) {
    const models::AttentionDescription& of = model.blueprint().description.layers[layer].attention;
    const std::string query = parameter::layer(static_cast<std::int64_t>(layer), parameter::kQuery);
    const bool alone = of.heads == of.key_heads;
    for (std::int64_t head = 0; head < of.heads; ++head) {
      const double score = scores[layer].at(static_cast<std::size_t>(head));
      if (!(score > limit) || !std::isfinite(score)) continue;
      const double ratio = limit / score;
      scale_rows(model.parameters(), query, head * of.query_width, of.query_width, alone ? std::sqrt(ratio) : ratio);
      if (!alone) continue;
      scale_rows(model.parameters(), query, (of.heads + head) * of.query_width, of.query_width, std::sqrt(ratio));
    }
  }
}

void require_clippable(const models::language::LanguageModel& model) {
  for (const models::LayerDescription& layer : model.blueprint().description.layers) {
    const bool mapped = models::attention_form_of(layer.attention).feature != reweighting::FeatureMap::kNone;
    if (layer.attention.query_key_norm == models::QueryKeyNorm::kNone && !layer.attention.latent && !mapped) continue;
    throw Error(
        "qk-clip scales what makes queries and keys, which does not scale scores where they are normed, mapped by the "
        "attention or made of latents");
  }
}

}  // namespace polariscope::train
