// Falcon: the 7B (one key head, layers in parallel behind one norm), the RW models (ALiBi, sequential) and the new
// decoder (groups of heads, two norms).
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <tuple>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

void put_sources(Plan& plan, bool biases, bool two_parallel_norms) {
  const SourcePlaces base(plan.sources, "", "transformer.");
  base.weight(kEmbedding, "word_embeddings");
  base.linear(kFinalNorm, "ln_f", true);
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const LayerDescription& one = plan.description.layers[n];
    const auto [heads, key_heads, width] =
        std::tuple(one.attention.heads, one.attention.key_heads, one.attention.query_width);
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "transformer.h.");
    layer.linear(kAttentionNorm, two_parallel_norms ? "ln_attn" : "input_layernorm", true);
    // By key head each of the three kinds is the same: its queries, its key, its value.
    const std::string_view fused = "self_attention.query_key_value";
    layer.linear(kQuery, fused, biases, {.rows = fused::group_query(heads, key_heads, width)});
    layer.linear(kKey, fused, biases, {.rows = fused::group_key(heads, key_heads, width)});
    layer.linear(kValue, fused, biases, {.rows = fused::group_value(heads, key_heads, width)});
    layer.linear(kOutput, "self_attention.dense", biases);
    if (one.feed_forward_norms.before) {
      layer.linear(kFeedForwardNorm, two_parallel_norms ? "ln_mlp" : "post_attention_layernorm", true);
    }
    layer.linear(kUp, "mlp.dense_h_to_4h", biases);
    layer.linear(kDown, "mlp.dense_4h_to_h", biases);
  }
}

Plan read_falcon(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("num_attention_heads", "n_head");
  config.also("num_hidden_layers", "n_layer");
  config.also("hidden_size", "n_embed");
  config.also("num_kv_heads", "n_head_kv");
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 65024);
  model.width = model.embedding_width = config.size("hidden_size", 4544);
  model.context = config.size("max_position_embeddings", 2048);
  model.tied_head = config.flag("tie_word_embeddings", true);
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("num_attention_heads", 71)),
                         .feed_forward = {.width = config.size("ffn_hidden_size", 4 * model.width),
                                          .activation = activation(config, "activation", "gelu")}};
  AttentionDescription& attention = layer.attention;
  const bool newer = config.flag("new_decoder_architecture", false);
  const bool one_key_head = config.flag("multi_query", true);
  // Without the new decoder num_kv_heads says nothing: files write it nevertheless.
  const std::int64_t written = config.size("num_kv_heads", attention.heads);
  attention.key_heads = newer ? written : one_key_head ? 1 : attention.heads;
  const bool parallel = config.flag("parallel_attn", true);
  const std::int64_t norms = config.integer("num_ln_in_parallel_attn", newer ? 2 : 1);
  if (newer && !parallel) {
    throw Error("{} is false with the new decoder: not understood", config.at("parallel_attn"));
  }
  layer.parallel = parallel;
  const bool two_parallel_norms = newer && norms == 2;
  layer.attention_norms.before = model.final_norm = layer_norm(config.number("layer_norm_epsilon", 1e-5));
  if (!parallel || two_parallel_norms) layer.feed_forward_norms.before = layer.attention_norms.before;
  const Rotary positions = rotary(config, attention.query_width, model.context);
  if (config.flag("alibi", false)) {
    attention.alibi = {.slopes = alibi_slopes(attention.heads), .scaled = true, .bfloat16 = true};
  } else {
    model.rotary = {positions};
    attention.rotary = 0;
  }
  model.layers = layers(config, tensors, config.size("num_hidden_layers", 32), layer);
  put_sources(plan, config.flag("bias", false), two_parallel_norms);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> falcon_rows() {
  return {{.name = "falcon",
           .read = read_falcon,
           .prefix = "transformer.",
           .ignored_keys = {"hidden_dropout", "apply_residual_connection_post_layernorm"}}};
}

}  // namespace polariscope::models::rows
