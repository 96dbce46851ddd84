// `polariscope train` is a program of its own, polariscope-train: LibTorch takes a third of a second to load, which
// the other commands do without. It is always built; without LibTorch it trains attention alone.
#pragma once

#include "polariscope/sweep/grid.h"

#include <filesystem>

namespace polariscope::cli {

inline constexpr const char* kNoTransformers =
    "training a transformer needs LibTorch, which this build and pip's package are without: on Debian install "
    "libtorch-dev and run ./dev build in a clone";

std::filesystem::path training_program();
bool can_train_transformers();

// Throws Error for a grid with trainings that this build cannot make.
void require_trainable(const sweep::Grid& grid);

bool is_for_training_program(int argc, char** argv);

// Becomes polariscope-train, which stands beside this program, with the same arguments. Returns only if it cannot: 2,
// having said why.
int run_training_program(char** argv);

}  // namespace polariscope::cli
