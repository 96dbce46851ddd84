// The weights and the description of a pretrained model, from a folder, a file or a model's name, memory-mapped.
#pragma once

#include "polariscope/checkpoints/tensor.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::checkpoints {

enum class Format { kSafetensors, kGguf };

// "safetensors", "GGUF"
std::string_view format_name(Format format);

// Copies share the mapped files; tensors and their bytes live as long as one of them.
class Checkpoint {
 public:
  // name: a folder with config.json and model.safetensors or, where that is in pieces, model.safetensors.index.json; a
  // .safetensors file, with config.json beside it or without; a .gguf file, of which the pieces
  // NAME-00001-of-00003.gguf are found by the first; or a model's name ("gpt2", "org/name", "org/name@revision") as it
  // lies in the cache of the `hf` program (docs/checkpoints.md). Nothing is fetched, and no pickle is ever opened.
  // Throws Error where there is nothing of these, or where a file is malformed.
  explicit Checkpoint(const std::string& name);

  // In the files' order, those of types that are not read too.
  const std::vector<Tensor>& tensors() const;
  // Null where there is none of that name. Throws Error for one of a type that is not read.
  const Tensor* find(std::string_view name) const;

  Format format() const;
  // What was opened: the folder or the (first) file.
  const std::filesystem::path& path() const;
  // Where the model's other files lie, a tokenizer for one.
  const std::filesystem::path& folder() const;

  // config.json, null where there is none beside the tensors. Infinity and NaN, which some writers put there
  // though JSON has no such numbers, read {"__float__": "Infinity"}, as transformers 5 writes them. Of GGUF its
  // metadata: an object from key ("llama.block_count") to number, text, boolean or array.
  const nlohmann::json& config() const;

  // Of the tensors' names, types and shapes and of the first and last bytes of each: tells checkpoints of one training
  // apart without reading them whole.
  std::uint64_t fingerprint() const;

 private:
  struct Contents;
  std::shared_ptr<const Contents> contents_;
};

}  // namespace polariscope::checkpoints
