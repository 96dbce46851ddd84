// The most floating-point operations a second that one core does, on this processor, now.
#pragma once

#include <string>

namespace polariscope::bench {

// A fused multiply-add counts as two; takes about 20 ms. T: float or double.
template <class T>
double fma_peak();

// The same of dot products of bfloat16 pairs, by AVX512_BF16; 0 on a processor without it.
double bfloat16_peak();

std::string vector_target();  // the instruction set that it, and every kernel, is run with: "AVX3"

}  // namespace polariscope::bench
