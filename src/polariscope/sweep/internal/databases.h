// The databases of a sweep's folder, one a shard, for those who read them.
#pragma once

#include "polariscope/sweep/internal/sqlite.h"
#include "polariscope/sweep/tally.h"

#include <filesystem>
#include <vector>

namespace polariscope::sweep {

// In the order of the shards. Throws Error if there is none.
std::vector<std::filesystem::path> databases_in(const std::filesystem::path& folder);
// The same, or nothing.
std::vector<std::filesystem::path> any_databases_in(const std::filesystem::path& folder);

Tally tally_of(const Database& database);

}  // namespace polariscope::sweep
