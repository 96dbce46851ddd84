// Where a sweep stands, for anybody who asks while it runs or later.
#pragma once

#include "polariscope/sweep/tally.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace polariscope::sweep {

struct FailureGroup {
  std::string failure;
  int runs = 0;
  int first = 0;  // the smallest number of a run that failed so
};

// Runs that ended and were made by one program.
struct ProgramShare {
  std::string program;          // its fingerprint; "" where that was not recorded
  std::string version, commit;  // "" likewise
  int runs = 0;
};

struct SweepStatus {
  Tally tally;  // of the whole grid, with the shards that have not begun
  int shards = 1;
  int begun = 0;                       // shards with a database
  int at_work = 0;                     // of these, those whose scheduler lives
  double mean_seconds = 0.0;           // wall time of a run that is done
  std::vector<FailureGroup> failures;  // the most frequent first
  std::vector<ProgramShare> programs;  // one, unless the program was exchanged between two parts of the sweep

  // As long as as many runs are at once as now; nothing if none is running or done.
  std::optional<double> seconds_left() const;
};

// Throws Error if `folder` holds no sweep.
SweepStatus read_status(const std::filesystem::path& folder);

// A table of states, one of failures by their reason, the programs if there were several, and what to do next.
std::string in_words(const SweepStatus& status, const std::filesystem::path& folder);

}  // namespace polariscope::sweep
