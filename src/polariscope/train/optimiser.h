// Optimisers over a model's flat parameters: one pass over memory a step.
#pragma once

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
  // What the next step depends on besides values and gradients, by name; loading them continues the same run.
  virtual std::vector<std::pair<std::string, at::Tensor>> state() const = 0;
};

// Decoupled weight decay on all parameters (Loshchilov and Hutter 2019), in the order of PyTorch's AdamW:
//
//   θ ← θ (1 - lr·decay);  m ← β₁m + (1 - β₁)g;  v ← β₂v + (1 - β₂)g²
//   θ ← θ - lr/(1 - β₁ᵗ) · m / (√v/√(1 - β₂ᵗ) + ε)
struct AdamWOptions {
  double learning_rate = 1e-3, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
};
class AdamW final : public Optimiser {
 public:
  // Throws Error for options out of range: learning_rate and epsilon > 0, betas in [0, 1), weight_decay >= 0.
  AdamW(const AdamWOptions& options, const at::Tensor& values);
  double step(const at::Tensor& values, const at::Tensor& gradients) override;
  std::vector<std::pair<std::string, at::Tensor>> state() const override;

 private:
  AdamWOptions options_;
  at::Tensor mean_, square_, steps_;  // steps_: int64 [1]
};

// θ ← θ - lr·b,  b ← momentum·b + g, as PyTorch's SGD (b = g at the first step).
struct SgdOptions {
  double learning_rate = 1e-2, momentum = 0.0;
};
class Sgd final : public Optimiser {
 public:
  // Throws Error for options out of range: learning_rate > 0, momentum in [0, 1).
  Sgd(const SgdOptions& options, const at::Tensor& values);
  double step(const at::Tensor& values, const at::Tensor& gradients) override;
  std::vector<std::pair<std::string, at::Tensor>> state() const override;

 private:
  SgdOptions options_;
  at::Tensor velocity_;
};

}  // namespace polariscope::train
