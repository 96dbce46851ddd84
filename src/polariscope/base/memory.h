// The process's memory: problems larger than the machine, refused in words, and what is freed.
#pragma once

#include <string_view>

namespace polariscope {

double machine_memory();  // in bytes

// Throws Error where `bytes` are more than this machine's memory: the system would end the process half way. `what`
// needs them, in the plural: "arrays of 3 and 4".
void require_memory(double bytes, std::string_view what);

// Keeps what is freed for the next allocation: arrays of a training step are those of the step before, and memory that
// is given back to the system costs page faults again.
void keep_freed_memory();

}  // namespace polariscope
