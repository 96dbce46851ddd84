// The most floating-point operations a second that one core does, on this processor, now.
#pragma once

#include <string>

namespace polariscope::bench {

// A fused multiply-add counts as two; takes about 20 ms. T: float or double.
template <class T>
double fma_peak();

std::string vector_target();  // the instruction set that it, and every kernel, is run with: "AVX3"

}  // namespace polariscope::bench
