// A transformer of pre-LayerNorm blocks over learned positions, any attention of the family: the polarisation paper's
// model. All linear layers have biases; the GELU is exact.
//
//   x = x + Attention(LN(x)),   x = x + MLP(LN(x)),   logits = W LN(x) + b
#pragma once

#include "polariscope/models/architecture.h"
#include "polariscope/models/residual_layers.h"
#include "polariscope/reweighting/attention_form.h"

#include <string_view>

namespace polariscope::models {

class Transformer final : public Model {
 public:
  // As make_model().
  Transformer(const ModelOptions& options, at::ScalarType type, std::uint64_t seed);

  at::Tensor forward(const at::Tensor& tokens, const LayerObserver& observer = {}) const override;

 private:
  // By its name in the architecture's table, which `layer` stands before.
  LinearParameters linear_of(std::string_view layer, std::string_view name) const;
  NormParameters norm_of(std::string_view layer, std::string_view name) const;

  Architecture architecture_;
  attention::AttendOptions attend_;
  reweighting::AttentionForm form_;
};

}  // namespace polariscope::models
