// For records of what ran where. Apart from simd_target.h, which every kernel includes.
#pragma once

#include <string>

namespace polariscope::reweighting {

// Of the instruction set that kernels run on: "AVX2". Throws Error as obey_forced_target() does.
std::string simd_target_name();

}  // namespace polariscope::reweighting
