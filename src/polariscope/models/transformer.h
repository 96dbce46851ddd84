// The polarisation paper's transformer: pre-LayerNorm blocks over learned positions, any attention of the family,
// LayerNorm and MLP each optional, all linear layers with biases, exact GELU.
//
//   x = x + Attention(LN(x)),   x = x + MLP(LN(x)),   logits = W LN(x) + b
#pragma once

#include "polariscope/attention/torch/attend.h"
#include "polariscope/models/embedding.h"
#include "polariscope/models/parameters.h"
#include "polariscope/models/residual_layers.h"

#include <cstdint>
#include <string>
#include <vector>

namespace polariscope::models {

struct TransformerOptions {
  std::string attention = "softmax";  // name or alias of attention_forms()
  Positions positions = Positions::kConcat;
  bool causal = true;
  bool mlp = true, layer_norm = true;
  std::int64_t layers = 2, heads = 4, width = 128;  // heads divides width
  std::int64_t vocabulary = 0, outputs = 0;
  std::int64_t longest = 16;  // sequence, where there are positions
};

class Transformer {
 public:
  // Throws Error for numbers that do not fit together. type: float32 or float64.
  Transformer(const TransformerOptions& options, at::ScalarType type, std::uint64_t seed);

  struct Result {
    at::Tensor logits;                                    // [batch, length, outputs]
    std::vector<attention::TensorStatistics> statistics;  // one a layer, [batch, heads, length] each
    std::vector<at::Tensor> weights;                      // if asked for: one a layer, [batch, heads, queries, keys]
  };
  // tokens: [batch, length], int64, in [0, vocabulary). statistics: as statistics_of(attention). Differentiable with
  // respect to parameters() but for the weights. Throws Error.
  Result forward(const at::Tensor& tokens, const std::vector<std::string>& statistics = {},
                 bool with_weights = false) const;

  const TransformerOptions& options() const { return options_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

 private:
  LinearParameters linear_of(const std::string& name) const;
  NormParameters norm_of(const std::string& name) const;

  TransformerOptions options_;
  attention::AttendOptions attend_;
  bool scored_ = true;   // queries and keys matter
  bool mapped_ = false;  // they go through an MLP
  Parameters parameters_;
};

}  // namespace polariscope::models
