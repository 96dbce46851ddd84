// What rows are made of: pieces of configs that many architectures write alike.
#pragma once

#include "polariscope/models/pretrained/architecture_row.h"

#include <functional>
#include <optional>
#include <string_view>

namespace polariscope::models::rows {

// "gelu_new", "silu", ... under `key`. Throws Error for an activation that the forward pass has not.
Activation activation(const ConfigReader& config, std::string_view key, std::string_view otherwise);

NormDescription layer_norm(double epsilon);
NormDescription rms_norm(double epsilon);

// As many key heads as heads, each `width` / `heads` wide, logits divided by the root of that.
AttentionDescription plain_attention(const ConfigReader& config, std::int64_t width, std::int64_t heads);

// width / heads. Throws Error if that is not whole.
std::int64_t head_width(const ConfigReader& config, std::int64_t width, std::int64_t heads);

// A size that is the class default where its key is missing, and none where it is null.
std::optional<std::int64_t> size_or_null(const ConfigReader& config, std::string_view key, std::int64_t otherwise);

// `count` copies of `layer`. There are no more layers than tensors.
std::vector<LayerDescription> layers(const ConfigReader& config, const TensorsAtHand& tensors, std::int64_t count,
                                     const LayerDescription& layer);

struct RotaryDefaults {
  double theta = 10000.0;
  double partial = 1.0;  // of a head's width
  bool neighbours = false;
  std::string_view theta_key = "rope_theta", partial_key = "partial_rotary_factor";
  std::int64_t original_length = 0;  // class default of original_max_position_embeddings, which outweighs; 0: none
  bool yarn_is_longrope = false;
};

// Rotary positions as 4.x (rope_theta, rope_scaling) or 5.x (rope_parameters) write them. `width`: of a head.
// `context`: max_position_embeddings.
Rotary rotary(const ConfigReader& config, std::int64_t width, std::int64_t context,
              const RotaryDefaults& defaults = {});
// Those of one kind of layer, where rope_parameters is nested by layer type and holds it; none where it is not.
std::optional<Rotary> rotary_of_layer_type(const ConfigReader& config, std::string_view layer_type, std::int64_t width,
                                           std::int64_t context, const RotaryDefaults& defaults);

// "layer_types": true for each sliding layer. Without the key what `otherwise` says of each layer's number.
std::vector<bool> sliding_layers(const ConfigReader& config, std::int64_t count,
                                 const std::function<bool(std::int64_t)>& otherwise);

// Tensors of a mixture of experts in a layer, without ".weight"; {} is the expert.
struct ExpertNames {
  std::string_view router = {}, gate = {}, up = {}, down = {};
};

// Gives layer `n` experts in place of its one feed-forward.
void put_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan, std::int64_t n,
                 const Experts& experts, const ExpertNames& names);

// Only what layer `n`'s feed-forward would have without experts is taken out, and the experts' numbers are checked.
void use_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan, std::int64_t n,
                 const Experts& experts);

// ALiBi's slopes (Press et al. 2022), largest first for a power of two, else those of the power below and every
// other one of the power above.
std::vector<double> alibi_slopes(std::int64_t heads);

// A decoder of Llama's form as its config says; kin of it change what differs.
struct LlamaForm {
  double theta = 10000.0;
  bool neighbours = false;
  double partial_rotary = 1.0;
  bool tied_head = false;
  std::string_view epsilon_key = "rms_norm_eps";
  double epsilon = 1e-6;
  NormKind norm = NormKind::kRms;
  std::string_view activation_key = "hidden_act", activation = "silu";
  std::int64_t context = 2048;
  std::optional<std::int64_t> key_heads = {};   // where the config says nothing; none: as many as heads
  std::optional<std::int64_t> head_width = {};  // where the config says nothing; none: width / heads
  bool query_bias = false;                      // of queries, keys and values, if no key says so
  bool output_bias = false;
  bool feed_forward_bias = false;
  bool gated = true;
  bool rotates = true;                                      // false: the caller makes Description::rotary
  std::optional<std::int64_t> vocabulary = {}, heads = {};  // where the config says nothing
};

// Its tensors have the names of LlamaForCausalLM, with "model." before those of the base model. Reads the keys
// attention_bias and mlp_bias where the form does not say that there are biases.
Plan llama(const ConfigReader& config, const TensorsAtHand& tensors, const LlamaForm& form);

// The base model's tensors of layer `n`, parameters named "layer.<n>." and tensors `beginning`<n>.
SourcePlaces layer_places(Plan& plan, std::int64_t n, std::string_view beginning = "model.layers.");

}  // namespace polariscope::models::rows
