// What a process that trains transformers asks of the libraries below it.
#pragma once

#include <string>

namespace polariscope::train {

// Threads of LibTorch, and of OpenBLAS, which LibTorch does not tell.
void use_threads(int count);

std::string libtorch_version();  // "1.13.0"

}  // namespace polariscope::train
