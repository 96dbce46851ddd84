// GPT-J: layers in parallel behind one norm, neighbours rotated in the first rotary_dim of each head, a bias at the
// head.
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

using namespace parameter;

void put_sources(Plan& plan) {
  const SourcePlaces base(plan.sources, "", "transformer.");
  base.weight(kEmbedding, "wte");
  base.linear(kFinalNorm, "ln_f", true);
  SourcePlaces(plan.sources, "", "").linear(kHead, "lm_head", true);
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "transformer.h.");
    layer.linear(kAttentionNorm, "ln_1", true);
    layer.weight(kQuery, "attn.q_proj");
    layer.weight(kKey, "attn.k_proj");
    layer.weight(kValue, "attn.v_proj");
    layer.weight(kOutput, "attn.out_proj");
    layer.linear(kUp, "mlp.fc_in", true);
    layer.linear(kDown, "mlp.fc_out", true);
  }
}

Plan read_gptj(const ConfigReader& given, const TensorsAtHand& tensors) {
  ConfigReader config = given;
  config.also("n_embd", "hidden_size");
  config.also("n_positions", "max_position_embeddings");
  config.also("n_head", "num_attention_heads");
  config.also("n_layer", "num_hidden_layers");
  Plan plan;
  Description& model = plan.description;
  model.vocabulary = config.size("vocab_size", 50400);
  model.width = model.embedding_width = config.size("n_embd", 4096);
  model.context = config.size("n_positions", 2048);
  model.tied_head = config.flag("tie_word_embeddings", false);
  const NormDescription norm = layer_norm(config.number("layer_norm_epsilon", 1e-5));
  LayerDescription layer{.attention = plain_attention(config, model.width, config.size("n_head", 16)),
                         .feed_forward = {.width = config.size("n_inner", 4 * model.width),
                                          .activation = activation(config, "activation_function", "gelu_new")},
                         .parallel = true};
  layer.attention_norms.before = model.final_norm = norm;
  model.rotary = {{.width = config.size("rotary_dim", 64), .neighbours = true}};
  layer.attention.rotary = 0;
  model.layers = layers(config, tensors, config.size("n_layer", 28), layer);
  put_sources(plan);
  return plan;
}

}  // namespace

std::vector<PretrainedRow> gptj_rows() {
  return {{.name = "gptj",
           .read = read_gptj,
           .prefix = "transformer.",
           .ignored_keys = {"attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_*", "rotary", "scale_attn_weights"},
           .ignored_tensors = {"*.attn.bias", "*.attn.masked_bias"}}};
}

}  // namespace polariscope::models::rows
