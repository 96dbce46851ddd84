// Cohere's Command R: layers in parallel behind one norm, layer norms without bias, logits multiplied. The second kind
// has windows in most layers, and positions in those alone.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_both(const ConfigReader& config, const TensorsAtHand& tensors, double theta) {
  Plan plan = llama(config, tensors,
                    {.theta = theta,
                     .neighbours = true,
                     .tied_head = true,
                     .epsilon_key = "layer_norm_eps",
                     .epsilon = 1e-5,
                     .context = 8192});
  Description& model = plan.description;
  model.logit_scale = config.number("logit_scale", 0.0625);
  model.final_norm->kind = NormKind::kLayer;
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    LayerDescription& layer = model.layers[n];
    layer.parallel = true;
    layer.attention_norms.before = model.final_norm;
    layer.feed_forward_norms.before.reset();
    plan.sources.erase(parameter::layer(static_cast<std::int64_t>(n), kFeedForwardNorm));
  }
  return plan;
}

Plan read_cohere(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_both(config, tensors, 500000.0);
  if (!config.flag("use_qk_norm", false)) return plan;
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    AttentionDescription& attention = plan.description.layers[n].attention;
    attention.query_key_norm = QueryKeyNorm::kOwn;
    attention.query_key_norm_kind = *plan.description.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(kQueryNorm, "self_attn.q_norm");
    places.weight(kKeyNorm, "self_attn.k_norm");
  }
  return plan;
}

Plan read_cohere2(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_both(config, tensors, 10000.0);
  config.only("use_qk_norm", false);
  auto& layers = plan.description.layers;
  const std::int64_t pattern = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 4));
  const std::vector<bool> slides = sliding_layers(config, static_cast<std::int64_t>(layers.size()),
                                                  [pattern](std::int64_t n) { return (n + 1) % pattern != 0; });
  const auto window = size_or_null(config, "sliding_window", 4096);
  for (std::size_t n = 0; n < layers.size(); ++n) {
    if (slides[n]) layers[n].attention.window = window;
    if (!layers[n].attention.window) layers[n].attention.rotary.reset();
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> cohere_rows() {
  return {{.name = "cohere", .read = read_cohere, .prefix = "model."},
          {.name = "cohere2",
           .read = read_cohere2,
           .prefix = "model.",
           .ignored_keys = {"cache_implementation", "layer_switch", "order_of_interleaved_layers", "rotary_pct",
                            "position_embedding_type", "use_embedding_sharing", "use_gated_activation",
                            "use_parallel_block", "use_parallel_embedding"}}};
}

}  // namespace polariscope::models::rows
