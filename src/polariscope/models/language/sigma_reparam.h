// σReparam (Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention Entropy Collapse): a linear
// layer multiplies with (γ / σ) W, γ learned, σ = uᵀ W v its largest singular value, u and v kept by power iteration.
#pragma once

#include "polariscope/models/parameters.h"

#include <string>
#include <vector>

namespace polariscope::models::language {

// What a matrix has beside it (folded_matrix.h): γ of 1, u and v, which no loss trains, drawn. Of several matrices in
// one product each has its own.
std::vector<ParameterSpec> reparametrisation_of(const ParameterSpec& matrix);

// What is multiplied with, differentiable in W and γ, not in u and v: W itself where there is no γ.
at::Tensor reparametrised(const Parameters& parameters, const std::string& name);

// v = Wᵀu / |Wᵀu|, u = Wv / |Wv|, so often, of every matrix that has them.
void iterate_singular_vectors(const Parameters& parameters, int times);

// γ = σ: what is multiplied with is W.
void gains_from_norms(const Parameters& parameters);

}  // namespace polariscope::models::language
