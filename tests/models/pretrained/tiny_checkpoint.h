// Small checkpoints written for a test, and the reference models of POLARISCOPE_DATA.
#pragma once

#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/models/pretrained/parameters.h"
#include "support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace polariscope::testing {

struct TinyTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> numbers;  // as many as the shape needs
};
using TinyTensors = std::map<std::string, TinyTensor>;

// Numbers 0, 1, 2, ... from `first` on.
inline TinyTensor counting(std::vector<std::int64_t> shape, float first = 0.0f) {
  TinyTensor tensor{.shape = std::move(shape), .numbers = {}};
  std::int64_t size = 1;
  for (const std::int64_t extent : tensor.shape) size *= extent;
  for (std::int64_t i = 0; i < size; ++i) tensor.numbers.push_back(first + static_cast<float>(i));
  return tensor;
}

inline void write_tiny(const std::filesystem::path& folder, const nlohmann::json& config, const TinyTensors& tensors) {
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : tensors) {
    stored.push_back({name, Dtype::kF32, tensor.shape, std::as_bytes(std::span(tensor.numbers))});
  }
  write_safetensors(folder / "model.safetensors", stored);
  write_file(folder / "config.json", config.dump());
}

// Llama with one layer, 2 heads on 1 key head, width 4, 6 units, 5 tokens.
inline nlohmann::json tiny_llama_config() {
  return {
      {"model_type", "llama"},  {"vocab_size", 5},          {"hidden_size", 4},         {"intermediate_size", 6},
      {"num_hidden_layers", 1}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"tie_word_embeddings", true}};
}

inline TinyTensors tiny_llama_tensors() {
  return {{"model.embed_tokens.weight", counting({5, 4})},
          {"model.norm.weight", counting({4})},
          {"model.layers.0.input_layernorm.weight", counting({4})},
          {"model.layers.0.post_attention_layernorm.weight", counting({4})},
          {"model.layers.0.self_attn.q_proj.weight", counting({4, 4})},
          {"model.layers.0.self_attn.k_proj.weight", counting({2, 4})},
          {"model.layers.0.self_attn.v_proj.weight", counting({2, 4})},
          {"model.layers.0.self_attn.o_proj.weight", counting({4, 4})},
          {"model.layers.0.mlp.gate_proj.weight", counting({6, 4})},
          {"model.layers.0.mlp.up_proj.weight", counting({6, 4})},
          {"model.layers.0.mlp.down_proj.weight", counting({4, 6})}};
}

inline models::PretrainedModel open_model(const std::filesystem::path& folder) {
  return models::PretrainedModel(checkpoints::Checkpoint(folder.string()));
}

inline models::PretrainedModel open_tiny(const TemporaryFolder& folder, const nlohmann::json& config,
                                         const TinyTensors& tensors) {
  write_tiny(folder.path(), config, tensors);
  return open_model(folder.path());
}

// A folder of POLARISCOPE_DATA, or of shared/data beside the sources; empty where it is not there.
inline std::filesystem::path data_folder(const std::string& name) {
  std::vector<std::filesystem::path> places = {std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "../shared/data"};
  if (const char* data = std::getenv("POLARISCOPE_DATA")) places.insert(places.begin(), data);
  for (const auto& place : places) {
    if (std::filesystem::exists(place / name)) return place / name;
  }
  return {};
}

}  // namespace polariscope::testing
