// Models of one layer with numbers that look like drawn ones.
#pragma once

#include "models/pretrained/tiny_checkpoint.h"

#include <cmath>
#include <string>
#include <vector>

namespace polariscope::testing {

// Numbers between -scale and scale, the same at every call.
inline TinyTensor drawn(std::vector<std::int64_t> shape, float scale = 0.8f) {
  TinyTensor tensor = counting(std::move(shape));
  for (float& number : tensor.numbers) number = scale * std::sin(12.9898f * number + 78.233f);
  return tensor;
}

inline TinyTensors llama_tensors() {
  TinyTensors tensors = tiny_llama_tensors();
  for (auto& [name, tensor] : tensors) tensor = drawn(tensor.shape);
  return tensors;
}

// One layer, 2 heads, width 4, 5 tokens, 6 learned positions.
inline nlohmann::json gpt2_config() {
  return {{"model_type", "gpt2"}, {"vocab_size", 5}, {"n_embd", 4}, {"n_layer", 1}, {"n_head", 2}, {"n_positions", 6}};
}
inline TinyTensors gpt2_tensors() {
  const std::string layer = "transformer.h.0.";
  return {{"transformer.wte.weight", drawn({5, 4})},
          {"transformer.wpe.weight", drawn({6, 4})},
          {layer + "ln_1.weight", drawn({4})},
          {layer + "ln_1.bias", drawn({4})},
          {layer + "attn.c_attn.weight", drawn({4, 12})},
          {layer + "attn.c_attn.bias", drawn({12})},
          {layer + "attn.c_proj.weight", drawn({4, 4})},
          {layer + "attn.c_proj.bias", drawn({4})},
          {layer + "ln_2.weight", drawn({4})},
          {layer + "ln_2.bias", drawn({4})},
          {layer + "mlp.c_fc.weight", drawn({4, 16})},
          {layer + "mlp.c_fc.bias", drawn({16})},
          {layer + "mlp.c_proj.weight", drawn({16, 4})},
          {layer + "mlp.c_proj.bias", drawn({4})},
          {"transformer.ln_f.weight", drawn({4})},
          {"transformer.ln_f.bias", drawn({4})}};
}

}  // namespace polariscope::testing
