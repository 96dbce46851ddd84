// GPT-NeoX and Pythia: projections fused by head, a quarter of each head rotated, layers in parallel behind two norms.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

void put_sources(Plan& plan, bool attention_bias) {
  const SourcePlaces base(plan.sources, "", "gpt_neox.");
  base.weight(kEmbedding, "embed_in");
  base.linear(kFinalNorm, "final_layer_norm", true);
  SourcePlaces(plan.sources, "", "").weight(kHead, "embed_out");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const AttentionDescription& attention = plan.description.layers[n].attention;
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "gpt_neox.layers.");
    layer.linear(kAttentionNorm, "input_layernorm", true);
    const auto [heads, width] = std::pair(attention.heads, attention.query_width);
    const std::string_view fused = "attention.query_key_value";
    layer.linear(kQuery, fused, attention_bias, {.rows = fused::group_query(heads, heads, width)});
    layer.linear(kKey, fused, attention_bias, {.rows = fused::group_key(heads, heads, width)});
    layer.linear(kValue, fused, attention_bias, {.rows = fused::group_value(heads, heads, width)});
    layer.linear(kOutput, "attention.dense", attention_bias);
    layer.linear(kFeedForwardNorm, "post_attention_layernorm", true);
    layer.linear(kUp, "mlp.dense_h_to_4h", true);
    layer.linear(kDown, "mlp.dense_4h_to_h", true);
  }
}

Plan read_gpt_neox(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 50432);
  model.width = model.embedding_width = config.size("hidden_size", 6144);
  model.context = config.size("max_position_embeddings", 2048);
  model.tied_head = config.flag("tie_word_embeddings", false);
  const NormDescription norm = layer_norm(config.number("layer_norm_eps", 1e-5));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("num_attention_heads", 64)),
                         .feed_forward = {.width = config.size("intermediate_size", 24576),
                                          .activation = activation(config, "hidden_act", "gelu")}};
  layer.attention_norms.before = layer.feed_forward_norms.before = model.final_norm = norm;
  layer.parallel = config.flag("use_parallel_residual", true);
  layer.attention.rotary = 0;
  model.rotary = {rotary(config, layer.attention.query_width, model.context,
                         {.partial = 0.25, .theta_key = "rotary_emb_base", .partial_key = "rotary_pct"})};
  model.layers = layers(config, tensors, config.size("num_hidden_layers", 44), layer);
  put_sources(plan, config.flag("attention_bias", true));
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gpt_neox_rows() {
  return {{.name = "gpt_neox",
           .read = read_gpt_neox,
           .prefix = "gpt_neox.",
           .ignored_keys = {"classifier_dropout", "hidden_dropout", "partial_rotary_factor", "rope_theta"},
           .ignored_tensors = {"*.attention.bias", "*.attention.masked_bias"}}};
}

}  // namespace polariscope::models::rows
