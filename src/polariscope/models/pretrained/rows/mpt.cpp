// MPT: ALiBi, no biases at all, queries, keys and values maybe clipped. transformers 5.24 takes 8 for alibi_bias_max
// whatever the file says, which the code that MPT was trained with does not; so do we.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <array>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

void put_sources(Plan& plan) {
  const SourcePlaces base(plan.sources, "", "transformer.");
  base.weight(kEmbedding, "wte");
  base.weight(kFinalNorm, "norm_f");
  SourcePlaces(plan.sources, "", "").weight(kHead, "lm_head");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const AttentionDescription& attention = plan.description.layers[n].attention;
    const auto [heads, width] = std::pair(attention.heads, attention.query_width);
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "transformer.blocks.");
    layer.weight(kAttentionNorm, "norm_1");
    layer.weight(kQuery, "attn.Wqkv", {.rows = fused::block_query(heads, heads, width)});
    layer.weight(kKey, "attn.Wqkv", {.rows = fused::block_key(heads, heads, width)});
    layer.weight(kValue, "attn.Wqkv", {.rows = fused::block_value(heads, heads, width)});
    layer.weight(kOutput, "attn.out_proj");
    layer.weight(kFeedForwardNorm, "norm_2");
    layer.weight(kUp, "ffn.up_proj");
    layer.weight(kDown, "ffn.down_proj");
  }
}

// attn_config. What transformers' own class does not read must have the value that it takes for granted.
void read_attention(const ConfigReader& config, AttentionDescription& attention) {
  config.only_text("attn_type", "multihead_attention");
  config.only("qk_ln", false);
  config.only("prefix_lm", false);
  config.only("alibi", true);
  config.only("is_encoder_decoder", false);
  attention.alibi.slopes = alibi_slopes(attention.heads);
  attention.scale = config.number("softmax_scale", attention.scale);
  if (const double clip = config.number("clip_qkv", 0.0); clip != 0.0) attention.clip = clip;
  constexpr std::array<std::string_view, 4> kIgnored = {"alibi_bias_max", "attn_pdrop", "attn_impl",
                                                        "attn_uses_sequence_id"};
  config.ignore(kIgnored);
}

Plan read_mpt(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("d_model", "hidden_size");
  config.also("n_heads", "num_attention_heads");
  config.also("n_layers", "num_hidden_layers");
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 50368);
  model.width = model.embedding_width = config.size("d_model", 2048);
  model.context = config.size("max_seq_len", 2048);
  model.tied_head = config.flag("tie_word_embeddings", true);
  if (config.size("expansion_ratio", 4) != 4) throw Error("{}: only 4 is understood", config.at("expansion_ratio"));
  config.only("no_bias", true);
  if (config.has("logit_scale")) throw Error("{} is set: it is not understood", config.at("logit_scale"));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("n_heads", 16)),
                         .feed_forward = {.width = 4 * model.width, .activation = Activation::kGelu}};
  layer.attention_norms.before = layer.feed_forward_norms.before = model.final_norm =
      layer_norm(config.number("layer_norm_epsilon", 1e-5));
  model.layers = layers(config, tensors, config.size("n_layers", 24), layer);
  AttentionDescription attention = layer.attention;
  if (config.has("attn_config")) {
    read_attention(config.object("attn_config"), attention);
  } else {
    attention.alibi.slopes = alibi_slopes(attention.heads);
  }
  for (LayerDescription& one : model.layers) one.attention = attention;
  put_sources(plan);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> mpt_rows() {
  return {{.name = "mpt",
           .read = read_mpt,
           .prefix = "transformer.",
           .ignored_keys = {"resid_pdrop", "emb_pdrop", "learned_pos_emb", "init_device", "embedding_fraction",
                            "norm_type", "init_config*", "verbose", "tokenizer_name"}}};
}

}  // namespace polariscope::models::rows
