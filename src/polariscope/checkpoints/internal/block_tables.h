// The numbers that four bits stand for where they are no plain integers.
#pragma once

#include <array>

namespace polariscope::checkpoints {

using FourBitTable = std::array<float, 16>;

// ggml's IQ4_NL and IQ4_XS (kvalues_iq4nl).
inline constexpr FourBitTable kIq4Numbers = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Floats of two bits of exponent and one of mantissa, times two (OCP Microscaling Formats 1.0; ggml's kvalues_mxfp4).
inline constexpr FourBitTable kE2M1Doubled = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace polariscope::checkpoints
