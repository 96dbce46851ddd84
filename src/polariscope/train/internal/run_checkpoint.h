// The checkpoint of a run: its training's own, and what the loop goes on from.
#pragma once

#include "polariscope/train/course.h"
#include "polariscope/train/trainable.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::train {

struct RunState {
  std::int64_t step = 0;
  std::vector<double> alarms = {};  // runs::Alarms::state(); none where the file keeps none: the log is watched again
  Course course = {};
  std::int64_t answered = 0;  // alarms that a rescue answered
};

// config: the words of the run's config.toml, "" for none.
void write_run_checkpoint(const std::filesystem::path& path, Checkpoint checkpoint, const RunState& state,
                          const std::string& config);

// Takes the training to where the file leaves it; step 0, and nothing done, where there is no file. Throws Error for
// that of another run or of another config.
RunState restore_run(Trainable& training, const std::filesystem::path& path, const std::string& config);

}  // namespace polariscope::train
