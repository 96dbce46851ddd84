// The instruction set that kernels run on: the best of the processor, or the one the environment asks for.
#pragma once

namespace polariscope::reweighting {

// Obeys POLARISCOPE_FORCE_TARGET ("AVX3", "AVX2", "SCALAR", ...), once a process; every kernel's face calls it
// first. Throws Error for a name that this build or this processor does not have.
void obey_forced_target();

}  // namespace polariscope::reweighting
