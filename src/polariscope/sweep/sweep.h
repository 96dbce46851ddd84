// All runs of a grid, each executed once.
#pragma once

#include "polariscope/base/progress.h"
#include "polariscope/sweep/grid.h"
#include "polariscope/sweep/shard.h"
#include "polariscope/sweep/tally.h"
#include "polariscope/sweep/workers.h"

#include <filesystem>

namespace polariscope::sweep {

struct SweepEnd {
  Tally tally;  // of this shard
  bool interrupted = false;
};

// Begins the sweep in `folder`, or goes on with it: hands the shard's waiting runs to `workers` and records how they
// end, until none is left or interrupted(). Whatever ends this process, the next call executes what is not recorded,
// and takes the results of runs that ended unseen. Throws Error if the folder holds another grid, other shards or
// something else, if another scheduler is at work on the shard, or if nothing can be written.
SweepEnd run_sweep(const Grid& grid, const std::filesystem::path& folder, Shard shard, Workers& workers,
                   ProgressBoard& board);

}  // namespace polariscope::sweep
