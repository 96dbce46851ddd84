// The most floating-point operations a second that one core does, on this processor, now.
#pragma once

namespace polariscope::bench {

// Double precision, a fused multiply-add counting as two; takes about 20 ms.
double fma_peak();

}  // namespace polariscope::bench
