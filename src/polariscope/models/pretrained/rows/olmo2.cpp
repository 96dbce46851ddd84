// OLMo 2: no norm before a branch, one after it; queries and keys are normed over all heads together.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <utility>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_olmo2(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.epsilon = 1e-5});
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    LayerDescription& layer = plan.description.layers[n];
    std::swap(layer.attention_norms.before, layer.attention_norms.after);
    std::swap(layer.feed_forward_norms.before, layer.feed_forward_norms.after);
    layer.attention.query_key_norm = QueryKeyNorm::kWhole;
    layer.attention.query_key_norm_kind = *plan.description.final_norm;
    const auto number = static_cast<std::int64_t>(n);
    plan.sources.erase(parameter::layer(number, kAttentionNorm));
    plan.sources.erase(parameter::layer(number, kFeedForwardNorm));
    const SourcePlaces places = layer_places(plan, number);
    places.weight(kAttentionNormAfter, "post_attention_layernorm");
    places.weight(kFeedForwardNormAfter, "post_feedforward_layernorm");
    places.weight(kQueryNorm, "self_attn.q_norm");
    places.weight(kKeyNorm, "self_attn.k_norm");
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> olmo2_rows() { return {{.name = "olmo2", .read = read_olmo2, .prefix = "model."}}; }

}  // namespace polariscope::models::rows
