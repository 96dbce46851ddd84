// The optimisers' passes over flat parameters, chosen for the processor at run time. T is float or double.
#pragma once

#include <cstdint>

namespace polariscope::train {

// Sums of squares are of a block in T, of blocks in double: exact enough, and the same bits every time.

// ‖g‖².
template <class T>
double squared_norm(std::int64_t count, const T* gradients);

// The steps return ‖θ' - θ‖². What AdamW's (train/optimiser.h) multiplies by; `root` is 1/√(1 - β₂ᵗ), `rate` is lr/(1 -
// β₁ᵗ).
template <class T>
struct AdamWFactors {
  T keep, beta_1, rest_1, beta_2, rest_2, rate, root, epsilon;
};
template <class T>
double adamw_step(const AdamWFactors<T>& factors, std::int64_t count, const T* gradients, T* values, T* mean,
                  T* square);

// b ← momentum·b + g,  θ ← θ - rate·b.
template <class T>
double sgd_step(T rate, T momentum, std::int64_t count, const T* gradients, T* values, T* velocity);

}  // namespace polariscope::train
