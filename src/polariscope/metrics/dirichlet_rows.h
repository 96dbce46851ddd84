// Rows drawn from the symmetric Dirichlet distribution, the random attention of the Lipschitz paper's Appendix G, and
// what is known of them exactly.
#pragma once

#include "polariscope/base/random.h"

#include <cstdint>
#include <span>

namespace polariscope::metrics {

// Fills `row` with p ~ Dirichlet(α·1): positive shares that sum to one; the smaller α > 0, the sparser. Gamma numbers
// are drawn and divided as logarithms, log Γ(α) = log Γ(α+1) + log(U)/α, because for small α most of them are below
// the smallest double; a share that is, is 0. Throws Error unless α is positive and finite.
void draw_dirichlet_row(RandomStream& random, double alpha, std::span<double> row);

// E[H] = ψ(Nα+1) - ψ(α+1), in nats, and E‖p‖² = (α+1)/(Nα+1), over rows of `keys` shares; α > 0.
double dirichlet_mean_entropy(double alpha, std::int64_t keys);
double dirichlet_mean_square_norm(double alpha, std::int64_t keys);

}  // namespace polariscope::metrics
