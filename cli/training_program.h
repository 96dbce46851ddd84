// `polariscope train` is a program of its own, polariscope-train: LibTorch takes a third of a second to load, which
// the other commands do without.
#pragma once

#include <filesystem>

namespace polariscope::cli {

std::filesystem::path training_program();  // where it should stand
void require_training_program();           // throws Error if it does not

bool is_for_training_program(int argc, char** argv);

// Becomes polariscope-train, which stands beside this program, with the same arguments. Returns only if it cannot: 2,
// having said why.
int run_training_program(char** argv);

}  // namespace polariscope::cli
