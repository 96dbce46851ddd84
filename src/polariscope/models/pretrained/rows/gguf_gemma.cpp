// GGUF files of Gemma 2 and 3: their norms hold 1 + w. What no key says: the root of the width that embeddings are
// multiplied by, which layers have a window, and the scale of the largest models, told by their number of layers.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/gguf_parts.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

constexpr std::size_t kLayersOfGemma2Largest = 46, kLayersOfGemma3Largest = 62;

// `pattern`: each of so many layers, the last has no window. `largest`: the number of layers of the one whose logits
// are divided by the root of width / heads.
Plan read_gemma(const ConfigReader& config, const TensorsAtHand& tensors, std::size_t pattern, std::size_t largest) {
  Plan plan = gguf_decoder(config, tensors, {.activation = Activation::kGeluTanh});
  plan.description.embedding_scale = std::sqrt(static_cast<double>(plan.description.width));
  auto& layers = plan.description.layers;
  const std::int64_t window = config.size("attention.sliding_window", 4096);
  for (std::size_t n = 0; n < layers.size(); ++n) {
    LayerDescription& layer = layers[n];
    if ((n + 1) % pattern != 0) layer.attention.window = window;
    if (layers.size() == largest) {
      layer.attention.scale =
          std::sqrt(static_cast<double>(layer.attention.heads) / static_cast<double>(plan.description.width));
    }
    layer.attention_norms.after = layer.feed_forward_norms.after = plan.description.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n), "blk.");
    places.weight(kAttentionNormAfter, "post_attention_norm");
    places.weight(kFeedForwardNormAfter, "post_ffw_norm");
  }
  plan.description.logit_cap = config.maybe_number("final_logit_softcapping");
  return plan;
}

Plan read_gemma2(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_gemma(config, tensors, 2, kLayersOfGemma2Largest);
  plan.description.logit_cap = config.number("final_logit_softcapping", 30.0);
  const double cap = config.number("attn_logit_softcapping", 50.0);
  for (LayerDescription& layer : plan.description.layers) layer.attention.soft_cap = cap;
  return plan;
}

Plan read_gemma3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = read_gemma(config, tensors, 6, kLayersOfGemma3Largest);
  put_gguf_query_key_norm(tensors, plan, QueryKeyNorm::kPerHead);
  Description& model = plan.description;
  model.rotary.front().theta = config.number("rope.freq_base", 1e6);
  model.rotary.push_back({.theta = config.number("rope.freq_base_swa", 10000.0), .width = model.rotary.front().width});
  for (LayerDescription& layer : model.layers) layer.attention.rotary = layer.attention.window ? 1 : 0;
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gguf_gemma_rows() {
  return {{.name = "gemma2", .read = read_gemma2}, {.name = "gemma3", .read = read_gemma3}};
}

}  // namespace polariscope::models::rows
