// A sweep as one table.
#pragma once

#include <filesystem>
#include <string>

namespace polariscope::sweep {

// Every row of every database in `folder` in the order of the runs, as CSV (RFC 4180, but lines end in \n), heading
// first: run, state, settings, metrics, seconds, failure. Booleans are 1 and 0; what is absent is empty. Throws Error
// if there is no sweep.
std::string sweep_as_csv(const std::filesystem::path& folder);

}  // namespace polariscope::sweep
