// A model's parameters as the tensors of a published checkpoint: what reading them (parameters.h) undoes.
#pragma once

#include "polariscope/models/pretrained/sources.h"

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

struct PublishedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> numbers;  // row-major
};

// `shapes`: those of the parameters that the model has; `numbers`: a parameter's, row-major. Throws Error for a
// parameter of which `sources` say nothing, and for tensors that are stored in parts (GGUF's).
std::vector<PublishedTensor> published_tensors(
    const std::map<std::string, std::vector<std::int64_t>, std::less<>>& shapes, const Sources& sources,
    const std::function<std::span<const float>(std::string_view parameter)>& numbers);

}  // namespace polariscope::models
