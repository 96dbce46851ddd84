// A row of the table of pretrained architectures: Phi-1 to Phi-2. Layers are parallel behind one norm, the first part
// of each head is rotated, biases are everywhere, at the head too.
#pragma once

#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {

// Where each parameter is. Names are without ".weight"; `linear` takes the bias beside it.
inline void put_phi_sources(Plan& plan) {
  using namespace parameter;
  const SourcePlaces base(plan.sources, "", "model.");
  base.weight(kEmbedding, "embed_tokens");
  base.linear(kFinalNorm, "final_layernorm", true);
  SourcePlaces(plan.sources, "", "").linear(kHead, "lm_head", true);
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "model.layers.");
    layer.linear(kAttentionNorm, "input_layernorm", true);
    layer.linear(kQuery, "self_attn.q_proj", true);
    layer.linear(kKey, "self_attn.k_proj", true);
    layer.linear(kValue, "self_attn.v_proj", true);
    layer.linear(kOutput, "self_attn.dense", true);
    layer.linear(kUp, "mlp.fc1", true);
    layer.linear(kDown, "mlp.fc2", true);
  }
}

// What the config says. A default is that of transformers' class, for files that leave the key out.
inline Plan read_phi(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 51200);
  model.width = model.embedding_width = config.size("hidden_size", 2048);
  model.context = config.size("max_position_embeddings", 2048);
  model.tied_head = config.flag("tie_word_embeddings", false);
  config.only("qk_layernorm", false);

  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("num_attention_heads", 32)),
                         .feed_forward = {.width = config.size("intermediate_size", 8192),
                                          .activation = activation(config, "hidden_act", "gelu_new")},
                         .parallel = true};
  layer.attention.key_heads = config.size("num_key_value_heads", layer.attention.heads);
  layer.attention_norms.before = model.final_norm = layer_norm(config.number("layer_norm_eps", 1e-5));
  model.rotary = {rotary(config, layer.attention.query_width, model.context, {.partial = 0.5})};
  layer.attention.rotary = 0;
  model.layers = layers(config, tensors, config.size("num_hidden_layers", 24), layer);
  put_phi_sources(plan);
  return plan;
}

inline PretrainedRow phi_row() {
  return {.name = "phi", .read = read_phi, .prefix = "model.", .ignored_keys = {"embd_pdrop", "resid_pdrop"}};
}

}  // namespace polariscope::models::rows
