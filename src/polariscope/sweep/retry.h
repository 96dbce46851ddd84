// Failed runs get another chance.
#pragma once

#include <filesystem>

namespace polariscope::sweep {

// Puts the failed runs of the sweep in `folder` back to waiting, without their results, and returns how many. What a
// run left in its folder otherwise stays, so that it may go on from a checkpoint. Throws Error if there is no sweep, or
// if a scheduler is at work on it.
int retry_failed(const std::filesystem::path& folder);

}  // namespace polariscope::sweep
