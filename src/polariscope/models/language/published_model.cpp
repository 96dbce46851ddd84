#include "polariscope/models/language/published_model.h"

#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/models/language/blueprint.h"
#include "polariscope/models/pretrained/own_attention.h"
#include "polariscope/models/pretrained/published_tensors.h"

#include <string>
#include <vector>

namespace polariscope::models::language {

nlohmann::ordered_json as_published(nlohmann::ordered_json config) {
  const auto own = config.find(kOwnAttentionKey);
  if (own == config.end() || *own != to_json({.qk_norm = "rms"})) return config;
  // Qwen3's MLP has no biases.
  if (config.at("model_type") != std::string(kOwnModelPrefix) + "llama" || config.value("mlp_bias", false))
    return config;
  const Description llama = blueprint_of(config, "the run's model").description;
  const AttentionDescription& attention = llama.layers.front().attention;
  config.erase(own);
  config.erase("mlp_bias");
  config["model_type"] = "qwen3";
  config["architectures"] = {"Qwen3ForCausalLM"};
  // What Qwen3 would take for others where they are left out.
  config["num_key_value_heads"] = attention.key_heads;
  config["head_dim"] = attention.query_width;
  return config;
}

void write_published(const nlohmann::ordered_json& config,
                     const std::function<std::span<const float>(std::string_view parameter)>& numbers,
                     const std::filesystem::path& folder) {
  const Blueprint blueprint = blueprint_of(config, "the run's model");
  const std::vector<PublishedTensor> tensors = published_tensors(blueprint.shapes, blueprint.sources, numbers);
  std::vector<StoredTensor> stored;
  for (const PublishedTensor& tensor : tensors) {
    stored.push_back({.name = tensor.name,
                      .dtype = Dtype::kF32,
                      .shape = tensor.shape,
                      .bytes = std::as_bytes(std::span(tensor.numbers))});
  }
  write_safetensors(folder / "model.safetensors", stored, {{"format", "pt"}});
  nlohmann::ordered_json written = config;
  written["torch_dtype"] = "float32";
  write_file(folder / "config.json", written.dump(2) + "\n");
}

}  // namespace polariscope::models::language
