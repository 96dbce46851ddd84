// What optimisers are told, of a transformer and of attention alone.
#pragma once

namespace polariscope::train {

// Decoupled weight decay on all parameters (Loshchilov and Hutter 2019), in the order of PyTorch's AdamW:
//
//   θ ← θ (1 - lr·decay);  m ← β₁m + (1 - β₁)g;  v ← β₂v + (1 - β₂)g²
//   θ ← θ - lr/(1 - β₁ᵗ) · m / (√v/√(1 - β₂ᵗ) + ε)
//
// Without decay it is Adam (Kingma and Ba 2015).
struct AdamWOptions {
  double learning_rate = 1e-3, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
};

// θ ← θ - lr·b,  b ← momentum·b + g, as PyTorch's SGD (b = g at the first step).
struct SgdOptions {
  double learning_rate = 1e-2, momentum = 0.0;
};

}  // namespace polariscope::train
