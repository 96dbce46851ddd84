// GGUF, the format of llama.cpp: metadata, then tensors that are mostly quantised.
#pragma once

#include "polariscope/base/mapped_file.h"
#include "polariscope/checkpoints/tensor.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <vector>

namespace polariscope::checkpoints {

// A little-endian file of version 2 or 3, one piece where a model is in several. Copies share the mapping.
class Gguf {
 public:
  // Checks everything but the tensors' numbers. Throws Error, with the key or the tensor, for a file that cannot be
  // read or is malformed: cut short, another version or byte order, types that are unknown, a key or a name that stands
  // twice, tensors that are not aligned, overlap, or lie outside the file.
  explicit Gguf(const std::filesystem::path& path);

  // In the header's order. Shapes are row-major: the file lists the innermost dimension first, here it is the last.
  // What llama.cpp's converter did to the weights is not undone.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  // An object from key to number, text (bytes as they lie, UTF-8 by intention only), boolean or array.
  const nlohmann::json& metadata() const { return *metadata_; }

 private:
  MappedFile file_;
  std::shared_ptr<const nlohmann::json> metadata_;
  std::vector<Tensor> tensors_;
};

}  // namespace polariscope::checkpoints
