// Trainings of transformers: made by transformers.cpp, refused by no_transformers.cpp in a build without LibTorch.
#pragma once

#include "polariscope/runs/settings.h"
#include "polariscope/train/trainable.h"

#include <memory>
#include <string>

namespace polariscope::cli {

// On `threads` threads of LibTorch's. Throws Error for options that make no sense together, and without LibTorch.
std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int threads);

// What the training of a language model would take, for a terminal. Throws Error as transformer_training() does, and
// for another task.
std::string training_plan(const runs::Settings& given, int threads);

// Whether this process is one that shares another's training; if so, it has done its part to the end.
bool followed(const runs::Settings& given, int threads);

std::string libtorch_version();  // "1.13.0", "" without

}  // namespace polariscope::cli
