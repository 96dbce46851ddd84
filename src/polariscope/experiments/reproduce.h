// Runs experiments, keeps what is done, and writes the report.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/report/page.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace polariscope::experiments {

struct ReproduceOptions {
  std::vector<std::string> ids;  // empty: the whole catalogue
  Preset preset = Preset::kQuick;
  std::uint64_t seed = 0;
  int jobs = 0;  // experiments at once; 0: one per processor
  std::filesystem::path out = "out";
  std::filesystem::path training_program;  // polariscope-train
  bool transformers = true;                // whether it trains them; else experiments that need them are skipped
  std::function<void(const std::string& line)> announce;  // told how long trainings will take, and what is made again
};

// The trainings that a call of reproduce() would make of the experiments' grids.
struct PlannedTrainings {
  std::string announcement;  // how many, and how long where that is known
  bool language_models = false;
  std::vector<std::vector<std::string>> runs;  // each as options of `train`
};
// One for each grid; none for experiments without. Throws Error for unknown ids.
std::vector<PlannedTrainings> planned_trainings(const ReproduceOptions& options);

struct Reproduction {
  report::Page page;
  std::filesystem::path report;
  int reused = 0;                   // experiments taken from an earlier run of the same folder
  bool interrupted = false;         // Ctrl-C: the report holds what was done
  std::vector<std::string> errors;  // one sentence for each experiment that could not run
};

// The folder holds config.toml (what run it is), one ID/section.json an experiment, the trainings in runs/GRID (a
// sweep's folder), and report.html, each whole or absent. A section or training is reused if it was made by the same
// program with the same preset and seed; what other versions made is made again.
// Throws Error for unknown ids, a folder that belongs to another run, and files that cannot be written.
Reproduction reproduce(const ReproduceOptions& options, ProgressBoard& board);

}  // namespace polariscope::experiments
