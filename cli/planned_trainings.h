// What the trainings of experiments would take, before any is done.
#pragma once

#include "polariscope/experiments/reproduce.h"

namespace polariscope::cli {

// Prints it: of language models' each configuration's parameters, memory, tokens and time, those that differ in the
// seed or the learning rate alone once. Returns the exit code.
int print_planned_trainings(const experiments::ReproduceOptions& options);

}  // namespace polariscope::cli
