// GPT-2: learned positions, fused projections stored [in, out] (minGPT's copies: [out, in]).
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

// The shape of the first layer's fused projection tells how matrices are stored.
void put_sources(Plan& plan, const TensorsAtHand& tensors) {
  const Description& model = plan.description;
  const SourcePlaces base(plan.sources, "", "transformer.");
  base.weight(kEmbedding, "wte");
  base.weight(kPositions, "wpe");
  base.linear(kFinalNorm, "ln_f", true);
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  auto fused = tensors.shapes.find("transformer.h.0.attn.c_attn.weight");
  if (fused == tensors.shapes.end()) fused = tensors.shapes.find("h.0.attn.c_attn.weight");
  const bool rows_are_outputs =
      fused != tensors.shapes.end() && fused->second == std::vector<std::int64_t>{3 * model.width, model.width};
  const Source turned{.transposed = !rows_are_outputs};
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "transformer.h.");
    layer.linear(kAttentionNorm, "ln_1", true);
    const std::int64_t width = model.width;
    for (const auto& [name, block] : {std::pair{kQuery, 0}, std::pair{kKey, 1}, std::pair{kValue, 2}}) {
      layer.linear(name, "attn.c_attn", true,
                   {.transposed = turned.transposed, .rows = {block * width, width, 3 * width}});
    }
    layer.linear(kOutput, "attn.c_proj", true, turned);
    layer.linear(kFeedForwardNorm, "ln_2", true);
    layer.linear(kUp, "mlp.c_fc", true, turned);
    layer.linear(kDown, "mlp.c_proj", true, turned);
  }
}

Plan read_gpt2(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("n_embd", "hidden_size");
  config.also("n_positions", "max_position_embeddings");
  config.also("n_head", "num_attention_heads");
  config.also("n_layer", "num_hidden_layers");
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 50257);
  model.width = model.embedding_width = config.size("n_embd", 768);
  model.learned_positions = model.context = config.size("n_positions", 1024);
  model.tied_head = config.flag("tie_word_embeddings", true);
  const NormDescription norm = layer_norm(config.number("layer_norm_epsilon", 1e-5));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("n_head", 12)),
                         .feed_forward = {.width = config.size("n_inner", 4 * model.width),
                                          .activation = activation(config, "activation_function", "gelu_new")}};
  layer.attention_norms.before = layer.feed_forward_norms.before = model.final_norm = norm;
  if (!config.flag("scale_attn_weights", true)) layer.attention.scale = 1.0;
  model.layers = layers(config, tensors, config.size("n_layer", 12), layer);
  if (config.flag("scale_attn_by_inverse_layer_idx", false)) {
    for (std::size_t n = 0; n < model.layers.size(); ++n) model.layers[n].attention.scale /= static_cast<double>(n + 1);
  }
  put_sources(plan, tensors);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gpt2_rows() {
  return {{.name = "gpt2",
           .read = read_gpt2,
           .prefix = "transformer.",
           .ignored_keys = {"attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_*", "n_ctx", "reorder_and_upcast_attn"},
           .ignored_tensors = {"*.attn.bias", "*.attn.masked_bias"}}};
}

}  // namespace polariscope::models::rows
