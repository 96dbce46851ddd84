// Runs that are executed once more: failed ones, and those of another program.
#pragma once

#include <filesystem>
#include <string>

namespace polariscope::sweep {

// Puts the failed runs of the sweep in `folder` back to waiting, without their results, and returns how many. What a
// run left in its folder otherwise stays, so that it may go on from a checkpoint. Throws Error if there is no sweep, or
// if a scheduler is at work on it.
int retry_failed(const std::filesystem::path& folder);

// Puts back the runs that ended and were not made by `program` (a fingerprint) alone, and returns how many; removes
// them, and what another program left of runs that wait, with their folders. 0 if there is no sweep. Throws Error if a
// scheduler is at work on it.
int put_back_others(const std::filesystem::path& folder, const std::string& program);

}  // namespace polariscope::sweep
