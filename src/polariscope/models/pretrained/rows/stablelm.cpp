// StableLM: Llama's parts with layer norms, a quarter of each head rotated, maybe in parallel behind one norm, maybe
// with a norm of its own for each head of queries and keys.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_stablelm(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors,
                    {.partial_rotary = 0.25,
                     .epsilon_key = "layer_norm_eps",
                     .epsilon = 1e-5,
                     .norm = NormKind::kLayer,
                     .context = 4096,
                     .key_heads = 32,
                     .query_bias = config.flag("use_qkv_bias", false)});
  const bool parallel = config.flag("use_parallel_residual", false), normed = config.flag("qk_layernorm", false);
  for (std::size_t i = 0; i < plan.description.layers.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    LayerDescription& one = plan.description.layers[i];
    one.parallel = parallel;
    if (parallel) {
      one.feed_forward_norms.before.reset();
      plan.sources.erase(layer(n, kFeedForwardNorm));
      plan.sources.erase(bias(layer(n, kFeedForwardNorm)));
    }
    if (!normed) continue;
    one.attention.query_key_norm = QueryKeyNorm::kOwn;
    one.attention.query_key_norm_kind = *plan.description.final_norm;
    const SourcePlaces places = layer_places(plan, n);
    places.weight(kQueryNorm, "self_attn.q_layernorm.norms.{}", {.stacked = one.attention.heads});
    places.weight(kKeyNorm, "self_attn.k_layernorm.norms.{}", {.stacked = one.attention.key_heads});
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> stablelm_rows() { return {{.name = "stablelm", .read = read_stablelm, .prefix = "model."}}; }

}  // namespace polariscope::models::rows
