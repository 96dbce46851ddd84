// Models of text, trained: the forward pass that audits published models, with gradients.
#pragma once

#include "polariscope/models/language/blueprint.h"
#include "polariscope/models/language/head_loss.h"
#include "polariscope/models/language/tensor_operations.h"
#include "polariscope/models/model.h"
#include "polariscope/models/pretrained/product_precision.h"

#include <cstdint>
#include <vector>

namespace polariscope::models::language {

struct LanguageModelOptions {
  Blueprint blueprint;
  ProductPrecision precision = ProductPrecision::kFloat32;
  // Matrices and embeddings start from N(0, deviation²), those that write to the residual stream from
  // N(0, deviation²/(2 layers)) (Radford et al. 2019).
  double deviation = 0.02;
  at::Device device = at::kCPU;  // of parameters and all that is computed
  bool sigma_reparam = false;    // of every matrix, but tables and a head that is one (sigma_reparam.h)
};

class LanguageModel final : public Model {
 public:
  // Drawn from `seed`; type: float32 or float64. Throws Error for an attention that the model cannot have.
  LanguageModel(const LanguageModelOptions& options, at::ScalarType type, std::uint64_t seed);
  // The numbers of a published model, whose blueprint it is.
  LanguageModel(const LanguageModelOptions& options, at::ScalarType type, const PretrainedModel& numbers);

  at::Tensor forward(const at::Tensor& tokens, const LayerObserver& observer = {}) const override;

  // Of the next token of each: targets int64 [batch, length], below 0 where there is none. The logits are never there
  // all at once. z_loss: see HeadLossOptions.
  HeadLoss loss(const at::Tensor& tokens, const at::Tensor& targets, double z_loss = 0.0,
                const LayerObserver& observer = {}) const;

  const Blueprint& blueprint() const { return options_.blueprint; }

 private:
  at::Tensor before_head(const at::Tensor& tokens, const LayerObserver& observer) const;
  at::Tensor head() const;
  at::Tensor head_bias() const;

  LanguageModelOptions options_;
};

// What it computes with; nothing is allocated.
std::vector<ParameterSpec> parameter_specs(const LanguageModelOptions& options);

// How many of a language model's numbers weight decay is of: its matrices and tables, which come first, but not norms,
// biases and sinks.
std::int64_t decayed(const Parameters& parameters);

}  // namespace polariscope::models::language
