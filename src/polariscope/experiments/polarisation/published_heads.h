// How sparse the heads of models are that were trained elsewhere, where their files are found: beside figure 7.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace polariscope::experiments {

constexpr std::int64_t kPublishedContext = 256;  // tokens that a text is cut at, as in the paper

struct PublishedHeads {
  std::string name;
  std::vector<double> sparsity,
      maximum;  // of each head, mean over all rows: E.2's ratio, and the largest weight as it is
  std::int64_t texts = 0, tokens = 0;
};

struct PublishedModels {
  std::vector<PublishedHeads> found;
  std::vector<std::string> left_out;  // "SmolLM2-135M (why)"
};

// The example that comes with the program; tinystories-656k and stories260K from models/ in the folder
// POLARISCOPE_DATA; SmolLM2-135M from the folder POLARISCOPE_PACKAGES or the cache of the hf program. Each over the
// sections of the example's text.
PublishedModels published_heads(int threads);

}  // namespace polariscope::experiments
