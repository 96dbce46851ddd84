#include "polariscope/models/pretrained/rows/gguf_parts.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <algorithm>
#include <cmath>

namespace polariscope::models::rows {
namespace {

using namespace parameter;

constexpr std::string_view kDivisors = "rope_freqs.weight";
constexpr std::string_view kEmbeddingTensor = "token_embd.weight";

std::vector<double> divisors(const TensorsAtHand& tensors, std::string_view name, std::int64_t width) {
  std::vector<double> found = tensors.numbers(name);
  if (std::cmp_not_equal(found.size(), width / 2)) {
    throw Error("tensor \"{}\" has {} numbers, but {} pairs of a head are rotated", name, found.size(), width / 2);
  }
  if (!std::all_of(found.begin(), found.end(), [](double by) { return by > 0.0; })) {
    throw Error("tensor \"{}\" must hold numbers above 0", name);
  }
  return found;
}

double above_zero(const ConfigReader& config, std::string_view key, double otherwise) {
  const double found = config.number(key, otherwise);
  if (!(found > 0.0) || !std::isfinite(found)) throw Error("{} is {}: expected above 0", config.at(key), found);
  return found;
}

// The scale of frequencies by rope.scaling.*, or by tensors of divisors.
void read_scaling(const ConfigReader& config, const TensorsAtHand& tensors, std::int64_t context, Rotary& rotary) {
  const std::string type = config.text("rope.scaling.type", "none");
  const double factor = above_zero(config, "rope.scaling.factor", 1.0);
  rotary.original_length = config.size("rope.scaling.original_context_length", context);
  config.flag("rope.scaling.finetuned", false);
  if (tensors.has("rope_factors_long.weight")) {
    rotary.scaling = RotaryScaling::kLongRope;
    rotary.long_factor = divisors(tensors, "rope_factors_long.weight", rotary.width);
    rotary.short_factor = divisors(tensors, "rope_factors_short.weight", rotary.width);
    rotary.attention_factor = above_zero(config, "rope.scaling.attn_factor", 1.0);
    rotary.factor = factor;
    return;
  }
  if (type == "linear") {
    rotary.scaling = RotaryScaling::kLinear;
    rotary.factor = factor;
  } else if (type == "yarn") {
    rotary.scaling = RotaryScaling::kYarn;
    rotary.factor = factor;
    rotary.beta_fast = above_zero(config, "rope.scaling.yarn_beta_fast", 32.0);
    rotary.beta_slow = above_zero(config, "rope.scaling.yarn_beta_slow", 1.0);
  } else if (type != "none") {
    const std::string_view known[] = {"none", "linear", "yarn"};
    throw Error("{}: {}", config.at("rope.scaling.type"), unknown_name("rotary scaling", type, known));
  }
  if (tensors.has(kDivisors)) {
    if (rotary.scaling != RotaryScaling::kNone) {
      throw Error("{} is \"{}\" and there is a tensor \"{}\": together they are not understood",
                  config.at("rope.scaling.type"), type, kDivisors);
    }
    rotary.scaling = RotaryScaling::kDivisors;
    rotary.divisors = divisors(tensors, kDivisors, rotary.width);
  }
  if (rotary.scaling != RotaryScaling::kYarn) rotary.original_length = 0;
}

Rotary read_rotary(const ConfigReader& config, const TensorsAtHand& tensors, const GgufForm& form, std::int64_t width,
                   std::int64_t context) {
  Rotary rotary{.theta = above_zero(config, "rope.freq_base", 10000.0),
                .width = config.size("rope.dimension_count", width),
                .neighbours = form.neighbours};
  if (rotary.width > width || rotary.width % 2 != 0) {
    throw Error("{} is {}: expected an even number up to the {} of a head", config.at("rope.dimension_count"),
                rotary.width, width);
  }
  read_scaling(config, tensors, context, rotary);
  return rotary;
}

void put_sources(Plan& plan, const TensorsAtHand& tensors, const GgufForm& form) {
  const SourcePlaces base(plan.sources, "", "");
  base.weight(kEmbedding, "token_embd");
  base.weight(kHead, "output");
  base.linear(kFinalNorm, "output_norm", form.norm_bias);
  const auto has_bias = [&tensors](std::string_view name) {
    return tensors.has("blk.0." + std::string(name) + ".bias");
  };
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    const LayerDescription& one = plan.description.layers[n];
    const SourcePlaces layer = layer_places(plan, static_cast<std::int64_t>(n), "blk.");
    const auto put = [&](std::string_view parameter, std::string_view name, const Source& how = {}) {
      layer.linear(parameter, name, has_bias(name), how);
    };
    layer.linear(kAttentionNorm, "attn_norm", form.norm_bias);
    layer.linear(kFeedForwardNorm, "ffn_norm", form.norm_bias);
    const auto [heads, keys, width] =
        std::tuple(one.attention.heads, one.attention.key_heads, one.attention.query_width);
    if (form.fused) {
      put(kQuery, "attn_qkv", {.rows = fused::block_query(heads, keys, width)});
      put(kKey, "attn_qkv", {.rows = fused::block_key(heads, keys, width)});
      put(kValue, "attn_qkv", {.rows = fused::block_value(heads, keys, width)});
    } else {
      put(kQuery, "attn_q");
      put(kKey, "attn_k");
      put(kValue, "attn_v");
    }
    put(kOutput, "attn_output");
    if (form.gated) put(kGate, "ffn_gate");
    put(kUp, "ffn_up");
    put(kDown, "ffn_down");
  }
}

}  // namespace

Plan gguf_decoder(const ConfigReader& config, const TensorsAtHand& tensors, const GgufForm& form) {
  Plan plan;
  Description& model = plan.description;
  const auto embedding = tensors.shapes.find(kEmbeddingTensor);
  if (embedding == tensors.shapes.end() || embedding->second.size() != 2) {
    throw Error("{}: tensor \"{}\" is missing or no matrix", config.where(), kEmbeddingTensor);
  }
  model.vocabulary = embedding->second[0];
  config.has("vocab_size");
  model.width = model.embedding_width = config.size("embedding_length");
  model.context = config.size("context_length");
  model.tied_head = !tensors.has("output.weight");

  LayerDescription layer{.attention = {},
                         .feed_forward = {.width = config.size("feed_forward_length", 1),
                                          .activation = form.activation,
                                          .gated = form.gated},
                         .attention_norms = {},
                         .feed_forward_norms = {}};
  AttentionDescription& attention = layer.attention;
  attention.heads = config.size("attention.head_count");
  attention.key_heads = config.size("attention.head_count_kv", attention.heads);
  const auto key_width = config.maybe_size("attention.key_length");
  attention.query_width = key_width ? *key_width : head_width(config, model.width, attention.heads);
  attention.value_width = config.size("attention.value_length", attention.query_width);
  attention.scale = 1.0 / std::sqrt(static_cast<double>(attention.query_width));
  if (form.rotates) {
    model.rotary = {read_rotary(config, tensors, form, attention.query_width, model.context)};
    attention.rotary = 0;
  }
  const NormDescription norm{.kind = form.norm,
                             .epsilon = config.number(form.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                                                  : "attention.layer_norm_epsilon")};
  model.final_norm = norm;
  layer.attention_norms.before = layer.feed_forward_norms.before = norm;
  model.layers = layers(config, tensors, config.size("block_count"), layer);
  put_sources(plan, tensors, form);
  return plan;
}

void put_gguf_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan) {
  Experts experts;
  const std::int64_t count = config.integer("expert_count", 0);
  experts.chosen = config.integer("expert_used_count", 0);
  if (count == 0) return;
  experts.count = config.size("expert_count");
  experts.chosen = config.size("expert_used_count");
  const auto width = config.maybe_size("expert_feed_forward_length");
  for (std::size_t i = 0; i < plan.description.layers.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    if (width) plan.description.layers[i].feed_forward.width = *width;
    use_experts(config, tensors, plan, n, experts);
    const SourcePlaces places = layer_places(plan, n, "blk.");
    places.linear(kRouter, "ffn_gate_inp", false);
    for (std::int64_t e = 0; e < experts.count; ++e) {
      places.linear(expert(e, kGate), "ffn_gate_exps", false, {.expert = e});
      places.linear(expert(e, kUp), "ffn_up_exps", false, {.expert = e});
      places.linear(expert(e, kDown), "ffn_down_exps", false, {.expert = e});
    }
  }
}

void put_gguf_query_key_norm(const TensorsAtHand& tensors, Plan& plan, QueryKeyNorm kind) {
  if (!tensors.has("blk.0.attn_q_norm.weight")) return;
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    AttentionDescription& attention = plan.description.layers[n].attention;
    attention.query_key_norm = kind;
    attention.query_key_norm_kind = *plan.description.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n), "blk.");
    places.weight(kQueryNorm, "attn_q_norm");
    places.weight(kKeyNorm, "attn_k_norm");
  }
}

}  // namespace polariscope::models::rows
