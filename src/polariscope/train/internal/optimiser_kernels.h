// The optimisers' passes over flat parameters, chosen for the processor at run time. T is float or double.
#pragma once

#include "polariscope/train/optimiser_options.h"

#include <cmath>
#include <cstdint>

namespace polariscope::train {

// Sums of squares are of a block in T, of blocks in double: exact enough, and the same bits every time.

// ‖g‖².
template <class T>
double squared_norm(std::int64_t count, const T* gradients);

// The steps return ‖θ' - θ‖². What AdamW's (train/optimiser_options.h) multiplies by; `root` is 1/√(1 - β₂ᵗ), `rate` is
// lr/(1 - β₁ᵗ).
template <class T>
struct AdamWFactors {
  T keep, beta_1, rest_1, beta_2, rest_2, rate, root, epsilon;
};
// Of step t = `steps`, counted from 1.
template <class T>
AdamWFactors<T> adamw_factors(const AdamWOptions& o, double steps) {
  return {.keep = static_cast<T>(1.0 - o.learning_rate * o.weight_decay),
          .beta_1 = static_cast<T>(o.beta_1),
          .rest_1 = static_cast<T>(1.0 - o.beta_1),
          .beta_2 = static_cast<T>(o.beta_2),
          .rest_2 = static_cast<T>(1.0 - o.beta_2),
          .rate = static_cast<T>(o.learning_rate / (1.0 - std::pow(o.beta_1, steps))),
          .root = static_cast<T>(1.0 / std::sqrt(1.0 - std::pow(o.beta_2, steps))),
          .epsilon = static_cast<T>(o.epsilon)};
}
template <class T>
double adamw_step(const AdamWFactors<T>& factors, std::int64_t count, const T* gradients, T* values, T* mean,
                  T* square);

// b ← momentum·b + g,  θ ← θ - rate·b.
template <class T>
double sgd_step(T rate, T momentum, std::int64_t count, const T* gradients, T* values, T* velocity);

}  // namespace polariscope::train
