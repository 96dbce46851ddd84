// The instruction set that kernels run on: the best of the processor, or the one that is asked for.
#pragma once

#include <string>
#include <vector>

namespace polariscope::reweighting {

// Obeys POLARISCOPE_FORCE_TARGET ("AVX3", "AVX2", "SCALAR", ...), once a process; every kernel's face calls it
// first. Throws Error for a name that this build or this processor does not have.
void obey_forced_target();

// Those that this build and this processor share, best first.
std::vector<std::string> simd_targets();

// Of all kernels from here on; "": the best. Throws Error for another name than those of simd_targets().
void use_simd_target(const std::string& name);

}  // namespace polariscope::reweighting
