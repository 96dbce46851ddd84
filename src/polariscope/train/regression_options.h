// What a training of in-context regression is. Defaults are the Lipschitz paper's (protocol: docs/training.md).
#pragma once

#include "polariscope/models/attention_only.h"
#include "polariscope/runs/settings.h"

#include <cstdint>
#include <string>

namespace polariscope::train {

struct RegressionOptions {
  std::string attention = "softmax";
  std::string layer_form = "residual";  // covariate or plain
  std::string qk_norm = "no";           // layer, rms or l2
  bool causal = false;                  // token i sees those up to itself
  std::int64_t layers = 5;
  std::int64_t tokens = 20;  // the query included
  std::int64_t steps = 10'000, batch = 4000;
  std::string optimiser = "sgd";               // adam or adamw, with PyTorch's betas and ε
  double learning_rate = 0.7, momentum = 0.8;  // momentum: of SGD
  double weight_decay = 0.01;                  // of AdamW
  std::uint64_t seed = 0;

  bool operator==(const RegressionOptions&) const = default;
};

RegressionOptions regression_options(const runs::Settings& settings);

// Throws Error for names and numbers that make no sense.
void validate(const RegressionOptions& options);

// The model that they describe.
models::AttentionOnlyOptions model_of(const RegressionOptions& options);

}  // namespace polariscope::train
