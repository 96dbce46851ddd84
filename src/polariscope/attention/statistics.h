// What a row of attention is measured by, in the pass that computes the output. Equations: docs/attention.md.
#pragma once

#include <cstdint>

namespace polariscope::attention {

// One array [batch, heads, queries] each, contiguous; a null pointer is not computed and costs nothing.
//
// p_j are the numbers that multiply the values, w_j = f(z_j) before the normaliser, z_j the scores after
// bias and transform. Sums run over the n visible keys of the row. For the rules of a whole row w = p.
// A row without visible keys has zeros, and its log_sum_exp is minus infinity (or the sink's z). A row with a NaN or an
// infinity among its scores has NaN in the output and in every statistic, and its flag set.
template <class T>
struct RowStatistics {
  T* entropy = nullptr;             // nats, of |w|/Σ|w|; 0 for a row without any weight
  T* sum_of_squares = nullptr;      // Σ p²; summed over rows, the square of ‖P‖_F
  T* maximum = nullptr;             // max |p|
  std::int32_t* argmax = nullptr;   // the first key that attains it; -1 for a row without visible keys
  T* first_key = nullptr;           // p of key 0, the usual sink; 0 where it is not visible
  T* row_sum = nullptr;             // Σ p for exponential weights (1 less what a sink takes); else Σ w
  T* log_sum_exp = nullptr;         // log of a softmax's denominator, sink included; exponential weights only
  T* logit_mean = nullptr;          // of z
  T* logit_variance = nullptr;      // of z, population
  T* logit_maximum = nullptr;       // max z, signed
  T* skewness = nullptr;            // of p over the visible keys; 0 where p is constant
  std::int32_t* visible = nullptr;  // n
  std::uint8_t* non_finite = nullptr;
  T* first_visible_key = nullptr;  // p of the first key that the row sees, a padded sequence's sink; 0 if it sees none
};

// Gradients of a loss with respect to the differentiable statistics, [batch, heads, queries]; null: zero.
template <class T>
struct RowStatisticsGradient {
  const T* entropy = nullptr;
  const T* sum_of_squares = nullptr;
  const T* maximum = nullptr;  // through the first key that attains it
  const T* first_key = nullptr;
  const T* log_sum_exp = nullptr;
  const T* logit_mean = nullptr;
  const T* logit_variance = nullptr;
  const T* first_visible_key = nullptr;
};

}  // namespace polariscope::attention
