// DeepSeek-V3: latent attention, and from layer first_k_dense_replace on experts chosen by groups, with one that
// every token goes through. Its layers for predicting further tokens are no part of the model that is run.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

// The rows of kv_a_proj_with_mqa are [latent | rotary key], those of kv_b_proj by head [nope | value].
void put_attention(Plan& plan, std::int64_t n, bool biases) {
  const AttentionDescription& attention = plan.description.layers[static_cast<std::size_t>(n)].attention;
  const Latent& latent = *attention.latent;
  const std::int64_t nope = latent.nope_width, value = attention.value_width;
  const std::int64_t rank = latent.key_value_rank, rope = latent.rope_width;
  for (const std::string_view name : {kKey, kValue}) {
    plan.sources.erase(layer(n, name));
    plan.sources.erase(bias(layer(n, name)));
  }
  plan.sources.erase(bias(layer(n, kQuery)));
  const SourcePlaces places = layer_places(plan, n);
  if (latent.query_rank > 0) {
    places.linear(kQueryDown, "self_attn.q_a_proj", biases);
    places.weight(kQueryDownNorm, "self_attn.q_a_layernorm");
    places.weight(kQuery, "self_attn.q_b_proj");
  }
  places.linear(kLatentDown, "self_attn.kv_a_proj_with_mqa", biases, {.rows = {0, rank, rank + rope}});
  places.linear(kRotaryKey, "self_attn.kv_a_proj_with_mqa", biases, {.rows = {rank, rope, rank + rope}});
  places.weight(kLatentNorm, "self_attn.kv_a_layernorm");
  places.weight(kLatentKey, "self_attn.kv_b_proj", {.rows = {0, nope, nope + value}});
  places.weight(kLatentValue, "self_attn.kv_b_proj", {.rows = {nope, value, nope + value}});
}

// With YaRN the logits are multiplied by mscale² too.
double scale_of(const Rotary& rotary, std::int64_t width) {
  double scale = 1.0 / std::sqrt(static_cast<double>(width));
  if (rotary.scaling != RotaryScaling::kNone && rotary.mscale_all_dim != 0.0 && rotary.factor > 1.0) {
    scale *= std::pow(0.1 * rotary.mscale_all_dim * std::log(rotary.factor) + 1.0, 2);
  }
  return scale;
}

Plan read_deepseek_v3(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.context = 4096, .rotates = false});
  Description& model = plan.description;
  // head_dim is written by 5.x as the rotary width; q_lora_rank is null where queries have no low rank.
  const Latent latent{.query_rank = size_or_null(config, "q_lora_rank", 1536).value_or(0),
                      .key_value_rank = config.size("kv_lora_rank", 512),
                      .nope_width = config.size("qk_nope_head_dim", 128),
                      .rope_width = config.size("qk_rope_head_dim", 64),
                      .norm = rms_norm(1e-6)};
  model.rotary = {
      rotary(config, latent.rope_width, model.context, {.neighbours = config.flag("rope_interleave", true)})};
  Experts experts{.count = config.size("n_routed_experts", config.size("num_local_experts", 256)),
                  .chosen = config.size("num_experts_per_tok", 8),
                  .routing = Routing::kSigmoid,
                  .renormalise = config.flag("norm_topk_prob", true),
                  .weight_floor = 1e-20,
                  .weight_scale = config.number("routed_scaling_factor", 2.5),
                  .groups = config.size("n_group", 8),
                  .chosen_groups = config.size("topk_group", 4)};
  const std::int64_t width = config.size("moe_intermediate_size", 2048);
  experts.shared_width = width * config.size("n_shared_experts", 1);
  const std::int64_t dense = config.integer("first_k_dense_replace", 3);
  const bool biases = config.flag("attention_bias", false);
  if (config.size("moe_layer_freq", 1) != 1) throw Error("{}: only 1 is understood", config.at("moe_layer_freq"));
  config.only_text("scoring_func", "sigmoid");
  config.only_text("topk_method", "noaux_tc");
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    AttentionDescription& attention = model.layers[i].attention;
    attention.key_heads = attention.heads;
    attention.rotary = 0;
    attention.latent = latent;
    attention.query_width = latent.nope_width + latent.rope_width;
    attention.value_width = config.size("v_head_dim", 128);
    attention.scale = scale_of(model.rotary.front(), attention.query_width);
    put_attention(plan, n, biases);
    if (n < dense) continue;
    model.layers[i].feed_forward.width = width;
    put_experts(config, tensors, plan, n, experts,
                {.router = "mlp.gate",
                 .gate = "mlp.experts.{}.gate_proj",
                 .up = "mlp.experts.{}.up_proj",
                 .down = "mlp.experts.{}.down_proj"});
    const SourcePlaces places = layer_places(plan, n);
    places.exactly(kChoiceBias, "mlp.gate.e_score_correction_bias");
    places.weight(kSharedGate, "mlp.shared_experts.gate_proj");
    places.weight(kSharedUp, "mlp.shared_experts.up_proj");
    places.weight(kSharedDown, "mlp.shared_experts.down_proj");
  }
  for (std::int64_t n = 0; n < config.integer("num_nextn_predict_layers", config.integer("num_mtp_layers", 1)); ++n) {
    plan.ignored_tensors.push_back("model.layers." +
                                   std::to_string(static_cast<std::int64_t>(model.layers.size()) + n) + ".*");
    if (n > 64) break;
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> deepseek_rows() {
  return {{.name = "deepseek_v3",
           .read = read_deepseek_v3,
           .prefix = "model.",
           .ignored_keys = {"output_router_logits", "pretraining_tp", "qk_head_dim", "ep_size", "aux_loss_alpha",
                            "seq_aux"}}};
}

}  // namespace polariscope::models::rows
