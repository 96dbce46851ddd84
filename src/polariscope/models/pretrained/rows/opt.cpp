// OPT: learned positions from row 2 of their table on, ReLU; of the sizes the one of 350 million norms after each sum
// and has a narrower embedding.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <utility>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

constexpr std::int64_t kOffset = 2;

void put_sources(Plan& plan, bool before, bool biases) {
  const Description& model = plan.description;
  const SourcePlaces base(plan.sources, "", "model.decoder.");
  base.weight(kEmbedding, "embed_tokens");
  base.weight(kPositions, "embed_positions");
  if (model.embedding_width != model.width) {
    base.weight(kEmbeddingIn, "project_in");
    base.weight(kEmbeddingOut, "project_out");
  }
  if (model.final_norm) base.linear(kFinalNorm, "final_layer_norm", true);
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "model.decoder.layers.");
    layer.linear(before ? kAttentionNorm : kAttentionNormSum, "self_attn_layer_norm", true);
    layer.linear(kQuery, "self_attn.q_proj", biases);
    layer.linear(kKey, "self_attn.k_proj", biases);
    layer.linear(kValue, "self_attn.v_proj", biases);
    layer.linear(kOutput, "self_attn.out_proj", biases);
    layer.linear(before ? kFeedForwardNorm : kFeedForwardNormSum, "final_layer_norm", true);
    layer.linear(kUp, "fc1", biases);
    layer.linear(kDown, "fc2", biases);
  }
}

Plan read_opt(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 50272);
  model.width = config.size("hidden_size", 768);
  model.embedding_width = config.size("word_embed_proj_dim", model.width);
  model.context = config.size("max_position_embeddings", 2048);
  model.position_offset = kOffset;
  model.learned_positions = model.context + kOffset;
  model.tied_head = config.flag("tie_word_embeddings", true);
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("num_attention_heads", 12)),
                         .feed_forward = {.width = config.size("ffn_dim", 3072),
                                          .activation = activation(config, "activation_function", "relu")}};
  config.only("layer_norm_elementwise_affine", true);
  const bool before = config.flag("do_layer_norm_before", true);
  layer.attention_norms.before = layer.feed_forward_norms.before = layer_norm(1e-5);
  if (!before) {
    std::swap(layer.attention_norms.before, layer.attention_norms.after_sum);
    std::swap(layer.feed_forward_norms.before, layer.feed_forward_norms.after_sum);
  }
  const bool removed = config.flag("_remove_final_layer_norm", false);
  if (before && !removed) model.final_norm = layer_norm(1e-5);
  model.layers = layers(config, tensors, config.size("num_hidden_layers", 12), layer);
  put_sources(plan, before, config.flag("enable_bias", true));
  return plan;
}

}  // namespace

std::vector<PretrainedRow> opt_rows() {
  return {{.name = "opt",
           .read = read_opt,
           .prefix = "model.",
           .ignored_keys = {"dropout", "activation_dropout", "layerdrop", "init_std", "prefix"}}};
}

}  // namespace polariscope::models::rows
