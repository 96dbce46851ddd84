// A safetensors file's tensors with all types that the format names.
#pragma once

#include "polariscope/base/safetensors.h"
#include "polariscope/checkpoints/tensor.h"

#include <string>
#include <vector>

namespace polariscope::checkpoints {

// Appends them. where: the file, for complaints. Throws Error for a type without a name here, or one whose bytes are
// not what the shape needs.
void add_tensors(const Safetensors& file, const std::string& where, std::vector<Tensor>& tensors);

}  // namespace polariscope::checkpoints
