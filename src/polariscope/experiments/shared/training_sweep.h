// The trainings that experiments read: a shipped grid, executed by the sweep engine beside the report.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/experiments/shared/experiment.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

struct TrainingSweep {
  std::string grid;               // "induction-quick"
  std::int64_t first_seed = 0;    // added to the grid's
  std::filesystem::path folder;   // of the sweep: REPORT/runs/GRID
  std::filesystem::path program;  // polariscope-train
  int jobs = 1;                   // trainings at once
};

// An experiment's `trainings`, as "induction", and the preset: the name of a shipped grid. Where there is none of that
// size it is the next smaller one, or else the whole grid.
std::string grid_of(std::string_view trainings, Preset preset);

// The `trainings` of the experiments that read runs of a task.
std::string trainings_of(std::string_view task);

// What a preset's grid of an experiment's `trainings` cuts of the paper's: "42 trainings where the paper preset takes
// 8 640: width 64 for 128; attention without uniform; ...". "" where they are the same.
std::string grid_cuts(std::string_view trainings, Preset preset);

// The settings of each of a grid's trainings as `train` takes them: "--task", "language-model", ... An experiment's
// first seed is added to its own.
std::vector<std::vector<std::string>> arguments_of(const TrainingSweep& sweep);

// Whether its trainings need LibTorch.
bool trains_transformers(const TrainingSweep& sweep);

// "induction-quick: 42 trainings, 2 at once: about 2 min 04 s at 5.9 s each, as measured on one core of a server; ...":
// by the cost on file; of a grid without one it says that its length is not known.
std::string announcement(const TrainingSweep& sweep);

// Puts the trainings that another program made back to waiting, so that execute() does them again, and returns how
// many. Throws Error if a scheduler is at work on them.
int forget_others(const TrainingSweep& sweep);

// Seconds after which a training of the grid is taken for one that hangs, and ended: a day, or ten times its cost on
// file where that is longer.
double time_limit(std::string_view grid);

// Executes what the folder does not hold yet. Returns false after Ctrl-C.
bool execute(const TrainingSweep& sweep, ProgressBoard& board);

}  // namespace polariscope::experiments
