// A transformer of pre-LayerNorm blocks over learned positions, any attention of the family: the polarisation paper's
// model. All linear layers have biases; the GELU is exact.
//
//   x = x + Attention(LN(x)),   x = x + MLP(LN(x)),   logits = W LN(x) + b
#pragma once

#include "polariscope/models/architecture.h"
#include "polariscope/models/residual_layers.h"
#include "polariscope/reweighting/attention_form.h"

#include <string>
#include <string_view>
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

class Transformer final : public Model {
 public:
  // As make_model().
  Transformer(const ModelOptions& options, at::ScalarType type, std::uint64_t seed);
  Transformer(const TransformerOptions& options, at::ScalarType type, std::uint64_t seed);

  at::Tensor forward(const at::Tensor& tokens, const LayerObserver& observer) const override;

  struct Result {
    at::Tensor logits;                                    // [batch, length, outputs]
    std::vector<attention::TensorStatistics> statistics;  // one a layer, [batch, heads, length] each
    std::vector<at::Tensor> weights;                      // if asked for: one a layer, [batch, heads, queries, keys]
  };
  Result forward(const at::Tensor& tokens, const std::vector<std::string>& statistics = {},
                 bool with_weights = false) const;
  const TransformerOptions& options() const { return options_; }

 private:
  // By its name in the architecture's table, which `layer` stands before.
  LinearParameters linear_of(std::string_view layer, std::string_view name) const;
  NormParameters norm_of(std::string_view layer, std::string_view name) const;

  TransformerOptions options_;
  Architecture architecture_;
  attention::AttendOptions attend_;
  reweighting::AttentionForm form_;
};

}  // namespace polariscope::models
