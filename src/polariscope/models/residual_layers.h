// What reads the residual stream: LayerNorm and the layers behind it, one node of autograd that takes each chunk of
// rows through all of them while it is in the cache. Contiguous float32 or float64 tensors of the CPU.
#pragma once

#include "polariscope/models/layers.h"

namespace polariscope::models {

// (x - mean)/√(variance + 1e-5)·weight + bias over the last dimension; undefined where there is no LayerNorm.
struct NormParameters {
  at::Tensor weight, bias;  // [width]
};

// y = W LayerNorm(x) + b, beside x itself, for a residual branch: what x is due by both is added in one pass.
struct Branch {
  at::Tensor x, y;
};
Branch norm_linear(const at::Tensor& x, const NormParameters& norm, const LinearParameters& linear);

// x + W₂ gelu(W₁ LayerNorm(x) + b₁) + b₂ with the exact GELU.
at::Tensor add_mlp(const at::Tensor& x, const NormParameters& norm, const LinearParameters& first,
                   const LinearParameters& second);

}  // namespace polariscope::models
