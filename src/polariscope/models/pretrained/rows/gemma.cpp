// Gemma, Gemma 2 and the text part of Gemma 3: embeddings times √width, norms stored minus one; from 2 on windows in
// some layers, a scale of its own and norms behind each branch too.
#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <cmath>

namespace polariscope::models::rows {
namespace {

LlamaForm form(std::string_view activation_key, std::int64_t key_heads, std::int64_t context) {
  return {.tied_head = true,
          .activation_key = activation_key,
          .activation = "gelu_pytorch_tanh",
          .context = context,
          .key_heads = key_heads,
          .head_width = 256};
}

void finish(const ConfigReader& config, Plan& plan) {
  Description& model = plan.description;
  model.embedding_scale = std::sqrt(static_cast<double>(model.width));
  config.only("use_bidirectional_attention", false);
  for (auto& [parameter, source] : plan.sources) {
    if (parameter.ends_with("norm") || parameter.ends_with("norm_after")) source.add = 1.0;
  }
}

Plan read_gemma(const ConfigReader& config, const TensorsAtHand& tensors) {
  // Files of the first release say "gelu" and mean its tanh form; hidden_activation is what the second one says.
  const bool newer = config.has("hidden_activation");
  config.text("hidden_act", "gelu_pytorch_tanh");
  Plan plan = llama(config, tensors, form(newer ? "hidden_activation" : "hidden_act", 16, 8192));
  for (LayerDescription& layer : plan.description.layers) {
    if (layer.feed_forward.activation == Activation::kGelu) layer.feed_forward.activation = Activation::kGeluTanh;
  }
  finish(config, plan);
  return plan;
}

// What 2 and 3 share. `sliding`: which layers have a window where the config does not say.
Plan read_later(const ConfigReader& config, const TensorsAtHand& tensors, const LlamaForm& form,
                const std::function<bool(std::int64_t)>& sliding) {
  Plan plan = llama(config, tensors, form);
  const double scale = 1.0 / std::sqrt(config.number("query_pre_attn_scalar", 256.0));
  const std::int64_t window = config.size("sliding_window", 4096);
  auto& layers = plan.description.layers;
  const std::vector<bool> slides = sliding_layers(config, static_cast<std::int64_t>(layers.size()), sliding);
  for (std::size_t n = 0; n < layers.size(); ++n) {
    layers[n].attention.scale = scale;
    if (slides[n]) layers[n].attention.window = window;
    layers[n].attention_norms.after = layers[n].attention_norms.before;
    layers[n].feed_forward_norms.after = layers[n].feed_forward_norms.before;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(parameter::kAttentionNormAfter, "post_attention_layernorm");
    places.weight(parameter::kFeedForwardNorm, "pre_feedforward_layernorm");
    places.weight(parameter::kFeedForwardNormAfter, "post_feedforward_layernorm");
  }
  finish(config, plan);
  return plan;
}

Plan read_gemma2(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan =
      read_later(config, tensors, form("hidden_activation", 4, 8192), [](std::int64_t n) { return n % 2 == 0; });
  const auto cap = [&config](std::string_view key, double otherwise) {
    return config.written(key) ? config.maybe_number(key) : otherwise;
  };
  plan.description.logit_cap = cap("final_logit_softcapping", 30.0);
  for (LayerDescription& layer : plan.description.layers)
    layer.attention.soft_cap = cap("attn_logit_softcapping", 50.0);
  return plan;
}

// Layers with a window have rotary positions of their own, never scaled; files of 4.x say so in rope_local_base_freq.
Plan read_gemma3_text(const ConfigReader& config, const TensorsAtHand& tensors) {
  LlamaForm numbers = form("hidden_activation", 4, 131072);
  numbers.rotates = false;
  // The 4B model's file leaves out what the class has anyway.
  numbers.vocabulary = 262208;
  numbers.heads = 8;
  const std::int64_t pattern = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 6));
  Plan plan = read_later(config, tensors, numbers, [pattern](std::int64_t n) { return (n + 1) % pattern != 0; });
  Description& model = plan.description;
  model.logit_cap = config.maybe_number("final_logit_softcapping");
  if (config.has("attn_logit_softcapping")) {
    throw Error("{} is set: for gemma3 it is not understood", config.at("attn_logit_softcapping"));
  }
  const std::int64_t width = model.layers.front().attention.query_width;
  const RotaryDefaults far{.theta = 1e6}, near{.theta = 10000.0, .theta_key = "rope_local_base_freq"};
  const auto nested_far = rotary_of_layer_type(config, "full_attention", width, model.context, far);
  const auto nested_near = rotary_of_layer_type(config, "sliding_attention", width, model.context, near);
  const bool nested = nested_far || nested_near;
  const Rotary plain_near{.theta = config.number("rope_local_base_freq", 10000.0), .width = width};
  model.rotary = {nested_far ? *nested_far
                  : nested   ? Rotary{.theta = 1e6, .width = width}
                             : rotary(config, width, model.context, far),
                  nested_near.value_or(plain_near)};
  for (std::size_t n = 0; n < model.layers.size(); ++n) {
    AttentionDescription& attention = model.layers[n].attention;
    attention.rotary = attention.window ? 1 : 0;
    attention.query_key_norm = QueryKeyNorm::kPerHead;
    attention.query_key_norm_kind = *model.final_norm;
    const SourcePlaces places = layer_places(plan, static_cast<std::int64_t>(n));
    places.weight(parameter::kQueryNorm, "self_attn.q_norm", {.add = 1.0});
    places.weight(parameter::kKeyNorm, "self_attn.k_norm", {.add = 1.0});
  }
  return plan;
}

// With pictures: the text part is described within; what sees them is left alone.
Plan read_gemma3(const ConfigReader& config, const TensorsAtHand& tensors) {
  config.flag("tie_word_embeddings", true);
  return read_gemma3_text(config.has("text_config") ? config.object("text_config") : config, tensors);
}

// 2 and 3 read hidden_activation alone.
const std::vector<std::string_view> kIgnoredKeys = {"cache_implementation", "hidden_act", "sliding_window_size"};

}  // namespace

std::vector<PretrainedRow> gemma_rows() {
  return {{.name = "gemma", .read = read_gemma, .prefix = "model."},
          {.name = "gemma2", .read = read_gemma2, .prefix = "model.", .ignored_keys = kIgnoredKeys},
          {.name = "gemma3_text", .read = read_gemma3_text, .prefix = "model.", .ignored_keys = kIgnoredKeys},
          {.name = "gemma3",
           .read = read_gemma3,
           .prefix = "model.",
           .ignored_keys = {"vision_config", "cache_implementation", "hidden_act", "mm_tokens_per_image",
                            "boi_token_index", "eoi_token_index", "image_token_index"},
           .ignored_tensors = {"vision_tower.*", "multi_modal_projector.*", "model.vision_tower.*",
                               "model.multi_modal_projector.*"}}};
}

}  // namespace polariscope::models::rows
