#include "polariscope/live/find_runs.h"

#include <algorithm>
#include <system_error>

namespace polariscope::live {
namespace {

namespace fs = std::filesystem;

// A sweep and a search for the edge have a config.toml of their own beside their folder of runs.
bool is_run(const fs::path& folder) {
  std::error_code unknown;
  if (fs::exists(folder / "metrics.jsonl", unknown)) return true;
  return fs::exists(folder / "config.toml", unknown) && !fs::is_directory(folder / "runs", unknown);
}

// A folder that cannot be read, or vanishes meanwhile, holds no runs.
std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    std::error_code unknown;
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (!hidden && !entry->is_symlink(unknown) && entry->is_directory(unknown)) folders.push_back(entry->path());
  }
  std::ranges::sort(folders);
  return folders;
}

void collect(const fs::path& folder, const std::string& name, int depth, std::vector<FoundRun>& found) {
  if (is_run(folder)) {
    found.push_back({folder, name});
    return;
  }
  if (depth == 0) return;
  for (const fs::path& below : folders_in(folder)) {
    if (found.size() >= kMostRuns) return;
    collect(below, name + "/" + below.filename().string(), depth - 1, found);
  }
}

}  // namespace

std::vector<FoundRun> find_runs(const fs::path& place) {
  constexpr int kDepth = 3;
  std::error_code unknown;
  const fs::path folder = fs::weakly_canonical(place, unknown);
  std::vector<FoundRun> found;
  collect(unknown ? place : folder, folder.filename().string(), kDepth, found);
  return found;
}

}  // namespace polariscope::live
