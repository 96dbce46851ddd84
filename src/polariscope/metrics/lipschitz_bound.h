// How steep a layer of attention is, and what bounds it: both sides of the Lipschitz paper's equation (9).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace polariscope::metrics {

// A(X) = P X with P the softmax of each row of Z = scale · X W_Q (X W_K)ᵀ: one head, no mask, values the tokens
// themselves. Rows of X are tokens.
struct SoftmaxLayer {
  std::int64_t tokens = 0, width = 0, head_width = 0;
  std::span<const double> x;           // [tokens, width]
  std::span<const double> query, key;  // W_Q, W_K, [width, head_width]
  double scale = 1.0;
};

// Throws Error unless every size is at least 1, shapes and numbers agree, all numbers are finite, and there are at most
// 4096 tokens: the map is kept as a matrix.
void validate(const SoftmaxLayer& layer);

// ‖f‖_{F,F} is the largest ‖f(H)‖_F over ‖H‖_F = 1, ‖f‖_{F,(2,∞)} that of (Σ_i max_j f(H)_ij²)^½;
// DZ(H) = H M Xᵀ + X M Hᵀ with M = scale · W_Q W_Kᵀ.
struct LipschitzBound {
  double left;                     // ‖DA_X‖_{F,F}: the largest singular value of the [ND, ND] Jacobian
  double frobenius_norm;           // ‖P‖_F
  double spectral_norm;            // ‖P‖₂
  double largest_token;            // max_i ‖x_i‖₂
  double score_growth;             // ‖DZ_X‖_{F,(2,∞)}, from below: the best of several local maxima
  double score_singular;           // ‖DZ_X‖_{F,F}
  double entropy;                  // mean over rows, nats
  double printed_second() const;   // √2 max‖x_i‖ ‖DZ_X‖_{F,(2,∞)}
  double provable_second() const;  // (1/√2) max‖x_i‖ ‖DZ_X‖_{F,F}
  double printed() const;          // (9): ‖P‖_F and the second term; from below, as score_growth is
  // ‖P‖₂ and the second term. A row of DA(H) is (PH)_i and Σ_j dp_ij x_j, with Σ_j|dp_ij| = E_p|dz - E_p dz| at most
  // the deviation of dz under p, which is at most (max dz - min dz)/2 <= ‖dz_i‖₂/√2.
  double provable() const;
};

// Cost: some hundred products of [tokens, tokens] with [tokens, width]. The same input gives the same numbers.
// restarts: random starts of the alternation behind score_growth, beside two chosen ones.
LipschitzBound lipschitz_bound(const SoftmaxLayer& layer, int restarts = 8);

// DA_X(H), [tokens, width]: the derivative of A at X in the direction H of the same shape.
std::vector<double> attention_derivative(const SoftmaxLayer& layer, std::span<const double> direction);

}  // namespace polariscope::metrics
