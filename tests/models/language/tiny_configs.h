// Configs of small models, one for each thing that models are made of differently.
#pragma once

#include <nlohmann/json.hpp>

#include <vector>

namespace polariscope::models::language {

inline nlohmann::ordered_json tiny_llama() {
  return {{"model_type", "llama"},         {"vocab_size", 41},       {"hidden_size", 24},
          {"intermediate_size", 40},       {"num_hidden_layers", 2}, {"num_attention_heads", 4},
          {"num_key_value_heads", 2},      {"head_dim", 6},          {"hidden_act", "silu"},
          {"max_position_embeddings", 32}, {"rms_norm_eps", 1e-5},   {"rope_theta", 1000.0}};
}

inline nlohmann::ordered_json tiny_gpt2() {
  return {{"model_type", "gpt2"}, {"vocab_size", 37}, {"n_positions", 20},
          {"n_embd", 24},         {"n_layer", 2},     {"n_head", 3}};
}

inline nlohmann::ordered_json changed(nlohmann::ordered_json config, const nlohmann::ordered_json& changes) {
  config.update(changes);
  return config;
}

// Norms of queries and keys; caps, windows and norms after branches; experts of two kinds; low ranks; ALiBi; parallel
// layers with rotary neighbours; LayerNorms without biases.
inline std::vector<nlohmann::ordered_json> tiny_configs() {
  return {tiny_llama(),
          tiny_gpt2(),
          changed(tiny_llama(), {{"attention_bias", true}, {"tie_word_embeddings", true}}),
          changed(tiny_llama(), {{"model_type", "qwen3"}}),
          changed(tiny_llama(), {{"model_type", "olmo2"}, {"num_key_value_heads", 4}}),
          changed(tiny_llama(), {{"model_type", "gemma2"},
                                 {"hidden_activation", "gelu_pytorch_tanh"},
                                 {"query_pre_attn_scalar", 6},
                                 {"sliding_window", 5},
                                 {"attn_logit_softcapping", 3.0},
                                 {"final_logit_softcapping", 2.0}}),
          changed(tiny_llama(), {{"model_type", "mixtral"}, {"num_local_experts", 3}, {"num_experts_per_tok", 2}}),
          {{"model_type", "bloom"}, {"vocab_size", 31}, {"hidden_size", 24}, {"n_layer", 2}, {"n_head", 3}},
          {{"model_type", "gptj"},
           {"vocab_size", 31},
           {"n_positions", 20},
           {"n_embd", 24},
           {"n_layer", 2},
           {"n_head", 3},
           {"rotary_dim", 4}},
          {{"model_type", "opt"},
           {"vocab_size", 31},
           {"hidden_size", 24},
           {"word_embed_proj_dim", 12},
           {"ffn_dim", 40},
           {"num_hidden_layers", 2},
           {"num_attention_heads", 3},
           {"max_position_embeddings", 20}}};
}

}  // namespace polariscope::models::language
