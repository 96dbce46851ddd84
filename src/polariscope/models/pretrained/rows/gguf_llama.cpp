// GGUF files of Llama (with Mistral and Mixtral, which llama.cpp calls so, too) and its kin. Its converter reorders the
// rows of queries and keys in each head from halves to neighbours: rotating neighbours undoes that.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/gguf_parts.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

Plan read_llama(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = gguf_decoder(config, tensors, {.neighbours = true});
  put_gguf_experts(config, tensors, plan);
  return plan;
}

Plan read_qwen2(const ConfigReader& config, const TensorsAtHand& tensors) { return gguf_decoder(config, tensors, {}); }

Plan read_qwen3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = gguf_decoder(config, tensors, {});
  put_gguf_query_key_norm(tensors, plan, QueryKeyNorm::kPerHead);
  put_gguf_experts(config, tensors, plan);
  return plan;
}

Plan read_phi3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = gguf_decoder(config, tensors, {.fused = true});
  const std::int64_t window = config.integer("attention.sliding_window", 0);
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    LayerDescription& layer = plan.description.layers[n];
    if (window > 0) layer.attention.window = window;
    const std::int64_t units = layer.feed_forward.width;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n), "blk.");
    places.weight(kGate, "ffn_up", {.rows = {0, units, 2 * units}});
    places.weight(kUp, "ffn_up", {.rows = {units, units, 2 * units}});
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gguf_llama_rows() {
  const std::vector<std::string_view> divisors = {"rope_freqs.weight"};
  return {
      {.name = "llama", .read = read_llama, .ignored_keys = {"llama.tensor_data_layout"}, .ignored_tensors = divisors},
      {.name = "qwen2", .read = read_qwen2, .ignored_tensors = divisors},
      {.name = "qwen3", .read = read_qwen3, .ignored_tensors = divisors},
      {.name = "qwen3moe", .read = read_qwen3, .ignored_tensors = divisors},
      {.name = "phi3",
       .read = read_phi3,
       .ignored_tensors = {"rope_factors_long.weight", "rope_factors_short.weight"}}};
}

}  // namespace polariscope::models::rows
