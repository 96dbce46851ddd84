#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

void put_sources(Plan& plan, const LlamaForm& form, bool attention_bias, bool feed_forward_bias) {
  using namespace parameter;
  const bool norm_bias = form.norm == NormKind::kLayer;
  const SourcePlaces base(plan.sources, "", "model.");
  base.weight(kEmbedding, "embed_tokens");
  base.linear(kFinalNorm, "norm", norm_bias);
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "model.layers.");
    layer.linear(kAttentionNorm, "input_layernorm", norm_bias);
    layer.linear(kQuery, "self_attn.q_proj", attention_bias || form.query_bias);
    layer.linear(kKey, "self_attn.k_proj", attention_bias || form.query_bias);
    layer.linear(kValue, "self_attn.v_proj", attention_bias || form.query_bias);
    layer.linear(kOutput, "self_attn.o_proj", attention_bias || form.output_bias);
    layer.linear(kFeedForwardNorm, "post_attention_layernorm", norm_bias);
    if (form.gated) layer.linear(kGate, "mlp.gate_proj", feed_forward_bias);
    layer.linear(kUp, "mlp.up_proj", feed_forward_bias);
    layer.linear(kDown, "mlp.down_proj", feed_forward_bias);
  }
}

}  // namespace

Plan llama(const ConfigReader& config, const TensorsAtHand& tensors, const LlamaForm& form) {
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = form.vocabulary ? config.size("vocab_size", *form.vocabulary) : config.size("vocab_size");
  model.width = model.embedding_width = config.size("hidden_size");
  model.context = config.size("max_position_embeddings", form.context);
  model.tied_head = config.flag("tie_word_embeddings", form.tied_head);

  LayerDescription layer;
  AttentionDescription& attention = layer.attention;
  attention.heads = form.heads ? config.size("num_attention_heads", *form.heads) : config.size("num_attention_heads");
  attention.key_heads = config.size("num_key_value_heads", form.key_heads.value_or(attention.heads));
  const auto given = config.maybe_size("head_dim");
  attention.query_width = given             ? *given
                          : form.head_width ? *form.head_width
                                            : head_width(config, model.width, attention.heads);
  attention.value_width = attention.query_width;
  attention.scale = 1.0 / std::sqrt(static_cast<double>(attention.query_width));
  if (form.rotates) {
    model.rotary = {rotary(config, attention.query_width, model.context,
                           {.theta = form.theta, .partial = form.partial_rotary, .neighbours = form.neighbours})};
    attention.rotary = 0;
  }
  const NormDescription norm{.kind = form.norm, .epsilon = config.number(form.epsilon_key, form.epsilon)};
  layer.attention_norms.before = layer.feed_forward_norms.before = model.final_norm = norm;
  layer.feed_forward = {.width = config.size("intermediate_size"),
                        .activation = activation(config, form.activation_key, form.activation),
                        .gated = form.gated};
  model.layers = layers(config, tensors, config.size("num_hidden_layers"), layer);
  const bool attention_bias = !form.query_bias && config.flag("attention_bias", false);
  const bool feed_forward_bias = form.feed_forward_bias || config.flag("mlp_bias", false);
  put_sources(plan, form, attention_bias, feed_forward_bias);
  return plan;
}

}  // namespace polariscope::models::rows
