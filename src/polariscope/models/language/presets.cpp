#include "polariscope/models/language/presets.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <array>
#include <vector>

namespace polariscope::models::language {
namespace {

// llama-1b and gpt2-large are the paper's, whose shape of 1B is not printed: TinyLlama's, with as many key heads as
// heads.
constexpr std::array kPresets{
    Preset{"llama-3m", "llama", 256, 4, 4, 4, 688, 512, 256, false},
    Preset{"llama-15m", "llama", 288, 6, 6, 6, 768, 512, 32000, true},
    Preset{"llama-1b", "llama", 2048, 22, 32, 32, 5632, 768, 32000, false},
    Preset{"gpt2-15m", "gpt2", 224, 6, 7, 7, 896, 200, 50257, true},
    Preset{"gpt2-large", "gpt2", 1280, 36, 20, 20, 5120, 200, 50257, true},
};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const Preset& find_preset(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset;
    known.push_back(preset.name);
  }
  throw Error("{}", unknown_name("model", name, known));
}

nlohmann::ordered_json config_of(const Preset& p, std::int64_t vocabulary, std::int64_t context) {
  const std::int64_t tokens = vocabulary > 0 ? vocabulary : p.vocabulary;
  const std::int64_t positions = context > 0 ? context : p.context;
  if (p.architecture == "gpt2") {
    return {{"architectures", {"GPT2LMHeadModel"}},
            {"model_type", "gpt2"},
            {"vocab_size", tokens},
            {"n_positions", positions},
            {"n_embd", p.width},
            {"n_layer", p.layers},
            {"n_head", p.heads},
            {"n_inner", p.units},
            {"activation_function", "gelu_new"},
            {"layer_norm_epsilon", 1e-5},
            {"tie_word_embeddings", p.tied}};
  }
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", tokens},
          {"hidden_size", p.width},
          {"intermediate_size", p.units},
          {"num_hidden_layers", p.layers},
          {"num_attention_heads", p.heads},
          {"num_key_value_heads", p.key_heads},
          {"hidden_act", "silu"},
          {"max_position_embeddings", positions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", p.tied},
          {"attention_bias", false},
          {"mlp_bias", false}};
}

}  // namespace polariscope::models::language
