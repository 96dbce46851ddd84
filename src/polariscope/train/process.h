// What a process that trains asks of the libraries below it.
#pragma once

#include <string>

namespace polariscope::train {

// Threads of LibTorch, and of OpenBLAS, which LibTorch does not tell.
void use_threads(int count);

std::string libtorch_version();  // "1.13.0"

// A step's tensors are those of the step before: memory that is given back to the system costs page faults again.
void keep_freed_memory();

}  // namespace polariscope::train
