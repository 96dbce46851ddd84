// The trainings that experiments read: a shipped grid, executed by the sweep engine beside the report.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/experiments/shared/experiment.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace polariscope::experiments {

struct TrainingSweep {
  std::string grid;               // "induction-quick"
  std::int64_t first_seed = 0;    // added to the grid's
  std::filesystem::path folder;   // of the sweep: REPORT/runs/GRID
  std::filesystem::path program;  // polariscope-train
  int jobs = 1;                   // trainings at once
};

// An experiment's `trainings`, as "induction", and the preset: the name of a shipped grid. Where there is no smaller
// one, quick is the whole grid.
std::string grid_of(std::string_view trainings, Preset preset);

// The `trainings` of the experiments that read runs of a task.
std::string trainings_of(std::string_view task);

// "induction: 8640 trainings, 2 at once: about 21 days at 420 s each, …": from what a training took on one core when
// this was written, which is said with it.
std::string announcement(const TrainingSweep& sweep);

// Puts the trainings that another program made back to waiting, so that execute() does them again, and returns how
// many. Throws Error if a scheduler is at work on them.
int forget_others(const TrainingSweep& sweep);

// Executes what the folder does not hold yet. Returns false after Ctrl-C.
bool execute(const TrainingSweep& sweep, ProgressBoard& board);

}  // namespace polariscope::experiments
