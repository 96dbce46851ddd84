// What a training needs to go on, as tensors and words of a safetensors file.
#pragma once

#include "polariscope/base/safetensors.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace polariscope::train {

struct Checkpoint {
  std::vector<StoredTensor> tensors;  // the training's own bytes, valid until its next step
  SafetensorsMetadata metadata;
  std::vector<std::shared_ptr<void>> copies = {};  // of what lies on another device, to whose bytes `tensors` point
};

// Copies the tensor of `like`'s name out of the file. Throws Error where it is missing, or of another type or shape.
void read_tensor(const Safetensors& file, const StoredTensor& like, std::span<std::byte> to);

// A word of the file's metadata; empty where there is none of that name.
std::string word_of(const Safetensors& file, const std::string& name);

}  // namespace polariscope::train
