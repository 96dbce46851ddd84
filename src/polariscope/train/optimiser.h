// Optimisers over a model's flat parameters: one pass over memory a step.
#pragma once

#include "polariscope/train/optimiser_options.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {

// ‖g‖₂ of contiguous numbers.
double gradient_norm(const at::Tensor& gradients);

class Optimiser {
 public:
  virtual ~Optimiser() = default;
  // values and gradients: [count], contiguous, of one type. Returns ‖θ' - θ‖₂. A gradient that is not finite makes
  // values that are not.
  virtual double step(const at::Tensor& values, const at::Tensor& gradients) = 0;
  virtual void set_learning_rate(double rate) = 0;  // of the steps to come, >= 0
  // What the next step depends on besides values and gradients, by name; loading them continues the same run.
  virtual std::vector<std::pair<std::string, at::Tensor>> state() const = 0;
};

class AdamW final : public Optimiser {
 public:
  // Throws Error for options out of range: learning_rate and epsilon > 0, betas in [0, 1), weight_decay >= 0.
  // Weight decay is of the first `decayed` values.
  AdamW(const AdamWOptions& options, const at::Tensor& values, std::int64_t decayed);
  AdamW(const AdamWOptions& options, const at::Tensor& values) : AdamW(options, values, values.numel()) {}
  double step(const at::Tensor& values, const at::Tensor& gradients) override;
  void set_learning_rate(double rate) override { options_.learning_rate = rate; }
  std::vector<std::pair<std::string, at::Tensor>> state() const override;

 private:
  AdamWOptions options_;
  std::int64_t decayed_;
  at::Tensor mean_, square_, steps_;  // steps_: int64 [1]
};

class Sgd final : public Optimiser {
 public:
  // Throws Error for options out of range: learning_rate > 0, momentum in [0, 1).
  Sgd(const SgdOptions& options, const at::Tensor& values);
  double step(const at::Tensor& values, const at::Tensor& gradients) override;
  void set_learning_rate(double rate) override { options_.learning_rate = rate; }
  std::vector<std::pair<std::string, at::Tensor>> state() const override;

 private:
  SgdOptions options_;
  at::Tensor velocity_;
};

}  // namespace polariscope::train
