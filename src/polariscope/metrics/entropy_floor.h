// How low softmax's entropy can be for logits of a given size. Zhai et al. 2023, Theorem 3.1.
#pragma once

#include <cstdint>

namespace polariscope::metrics {

// The smallest entropy, in nats, of a softmax over `keys` logits z with ‖z - mean(z)‖₂ <= `norm`:
//   log(1 + (T-1) b) + σ √(T(T-1)) b/(1 + (T-1) b),  b = exp(-σ √(T/(T-1))),  T keys, σ the norm.
// It is attained where one logit stands above equal others. In [0, log T]; 0 for one key. Throws Error for no key and
// for a norm that is negative or NaN.
double entropy_floor(std::int64_t keys, double norm);

}  // namespace polariscope::metrics
