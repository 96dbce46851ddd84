// BLOOM: ALiBi, a norm behind the embedding, projections fused by head.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

void put_sources(Plan& plan) {
  const SourcePlaces base(plan.sources, "", "transformer.");
  base.weight(kEmbedding, "word_embeddings");
  base.linear(kEmbeddingNorm, "word_embeddings_layernorm", true);
  base.linear(kFinalNorm, "ln_f", true);
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const AttentionDescription& attention = plan.description.layers[n].attention;
    const auto [heads, width] = std::pair(attention.heads, attention.query_width);
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "transformer.h.");
    layer.linear(kAttentionNorm, "input_layernorm", true);
    const std::string_view fused = "self_attention.query_key_value";
    layer.linear(kQuery, fused, true, {.rows = fused::group_query(heads, heads, width)});
    layer.linear(kKey, fused, true, {.rows = fused::group_key(heads, heads, width)});
    layer.linear(kValue, fused, true, {.rows = fused::group_value(heads, heads, width)});
    layer.linear(kOutput, "self_attention.dense", true);
    layer.linear(kFeedForwardNorm, "post_attention_layernorm", true);
    layer.linear(kUp, "mlp.dense_h_to_4h", true);
    layer.linear(kDown, "mlp.dense_4h_to_h", true);
  }
}

Plan read_bloom(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("n_head", "num_attention_heads");
  config.also("n_layer", "num_hidden_layers");
  config.also("hidden_size", "n_embed");
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 250880);
  model.width = model.embedding_width = config.size("hidden_size", 64);
  model.context = config.size("seq_length", 2048);
  model.tied_head = config.flag("tie_word_embeddings", true);
  const NormDescription norm = layer_norm(config.number("layer_norm_epsilon", 1e-5));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("n_head", 8)),
                         .feed_forward = {.width = 4 * model.width, .activation = Activation::kGeluTanh}};
  layer.attention_norms.before = layer.feed_forward_norms.before = model.embedding_norm = model.final_norm = norm;
  config.only("apply_residual_connection_post_layernorm", false);
  model.layers = layers(config, tensors, config.size("n_layer", 2), layer);
  const std::vector<double> slopes = alibi_slopes(layer.attention.heads);
  for (LayerDescription& one : model.layers) one.attention.alibi.slopes = slopes;
  put_sources(plan);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> bloom_rows() {
  return {{.name = "bloom",
           .read = read_bloom,
           .prefix = "transformer.",
           // slow_but_exact and pretraining_tp sum in another order, no more.
           .ignored_keys = {"hidden_dropout", "pretraining_tp", "slow_but_exact", "attention_softmax_in_fp32",
                            "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi", "skip_bias_add*",
                            "unk_token_id", "use_cache"}}};
}

}  // namespace polariscope::models::rows
