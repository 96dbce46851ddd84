// The table of architectures: what a transformer is made of, as data. A row is read by the class behind make_model().
#pragma once

#include "polariscope/models/embedding.h"
#include "polariscope/models/model.h"
#include "polariscope/models/parameters.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace polariscope::models {

// How an architecture's files call its tensors. Those of a layer follow `layer`, in which {} is its number from 0;
// ".weight" and ".bias" follow those of linear layers, norms and embeddings.
struct TensorNames {
  std::string_view tokens, positions;
  std::string_view layer;
  std::string_view attention_norm, query, key, value, attention_output;
  std::string_view sink;             // [heads], of attentions with a learned sink
  std::string_view map_in, map_out;  // the MLP of attentions that map queries and keys
  std::string_view mlp_norm, mlp_in, mlp_out;
  std::string_view final_norm, output;
};

// A copy of a row may have other positions, and no norm or MLP.
struct Architecture {
  std::string_view name;
  Positions positions = Positions::kConcat;
  bool layer_norm = true;         // before attention, before the MLP and before the output
  bool mlp = true;                // x + W₂ gelu(W₁ LN(x) + b₁) + b₂ behind each attention
  std::int64_t hidden_ratio = 4;  // units of an MLP for each of its inputs
  Start embeddings = Start::kNormal;
  Start linear = Start::kUniform;  // weights and biases
  TensorNames names;
};

std::span<const Architecture> architectures();

// Throws Error with the nearest known name.
const Architecture& find_architecture(std::string_view name);

struct ModelOptions {
  Architecture architecture = architectures().front();
  std::string attention = "softmax";  // name or alias of attention_forms()
  ModelShape shape;
};

// Its parameters drawn from `seed`; type: float32 or float64. Throws Error for numbers that do not fit together.
std::unique_ptr<Model> make_model(const ModelOptions& options, at::ScalarType type, std::uint64_t seed);

}  // namespace polariscope::models
