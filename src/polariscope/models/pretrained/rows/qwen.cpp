// Qwen2 (biases of queries, keys and values), Qwen3 (each head of queries and keys is normed), its mixture of experts.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <algorithm>

namespace polariscope::models::rows {
namespace {

// Windows begin at layer max_window_layers, unless use_sliding_window is false or layer_types says which.
void put_windows(const ConfigReader& config, std::vector<LayerDescription>& layers) {
  const std::optional<std::int64_t> window = size_or_null(config, "sliding_window", 4096);
  const bool uses = config.flag("use_sliding_window", false);
  const std::int64_t first = config.integer("max_window_layers", 28);
  const bool typed = config.has("layer_types");
  const auto count = static_cast<std::int64_t>(layers.size());
  const std::vector<bool> sliding = sliding_layers(config, count, [](std::int64_t) { return true; });
  if (!uses || !window) return;
  for (std::int64_t n = 0; n < count; ++n) {
    const auto i = static_cast<std::size_t>(n);
    if (sliding[i] && (typed || n >= first)) layers[i].attention.window = window;
  }
}

void norm_heads(const ConfigReader& config, Plan& plan) {
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    AttentionDescription& attention = plan.description.layers[n].attention;
    attention.query_key_norm = QueryKeyNorm::kPerHead;
    attention.query_key_norm_kind = rms_norm(config.number("rms_norm_eps", 1e-6));
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(parameter::kQueryNorm, "self_attn.q_norm");
    places.weight(parameter::kKeyNorm, "self_attn.k_norm");
  }
}

Plan read_qwen2(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.context = 32768, .key_heads = 32, .query_bias = true});
  put_windows(config, plan.description.layers);
  return plan;
}

Plan read_qwen3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.context = 32768, .key_heads = 32, .head_width = 128});
  put_windows(config, plan.description.layers);
  norm_heads(config, plan);
  return plan;
}

Plan read_qwen3_moe(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.context = 32768, .key_heads = 4});
  norm_heads(config, plan);
  const std::optional<std::int64_t> window = size_or_null(config, "sliding_window", 4096);
  const bool uses_window = config.flag("use_sliding_window", false);
  const std::int64_t step = config.size("decoder_sparse_step", 1);
  std::vector<std::int64_t> dense;
  if (config.has("mlp_only_layers")) dense = config.integers("mlp_only_layers");
  const Experts experts{.count = config.size("num_experts", config.size("num_local_experts", 128)),
                        .chosen = config.size("num_experts_per_tok", 8),
                        .renormalise = config.flag("norm_topk_prob", false)};
  const std::int64_t width = config.size("moe_intermediate_size", 768);
  for (std::size_t i = 0; i < plan.description.layers.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    LayerDescription& layer = plan.description.layers[i];
    if (uses_window) layer.attention.window = window;
    if ((n + 1) % step != 0 || std::find(dense.begin(), dense.end(), n) != dense.end()) continue;
    layer.feed_forward.width = width;
    put_experts(config, tensors, plan, n, experts,
                {.router = "mlp.gate",
                 .gate = "mlp.experts.{}.gate_proj",
                 .up = "mlp.experts.{}.up_proj",
                 .down = "mlp.experts.{}.down_proj"});
  }
  return plan;
}

const std::vector<std::string_view> kRouterKeys = {"output_router_logits", "router_aux_loss_coef", "max_window_layers"};

}  // namespace

std::vector<PretrainedRow> qwen_rows() {
  return {{.name = "qwen2", .read = read_qwen2, .prefix = "model.", .ignored_keys = {"use_mrope"}},
          {.name = "qwen3", .read = read_qwen3, .prefix = "model."},
          {.name = "qwen3_moe", .read = read_qwen3_moe, .prefix = "model.", .ignored_keys = kRouterKeys}};
}

}  // namespace polariscope::models::rows
