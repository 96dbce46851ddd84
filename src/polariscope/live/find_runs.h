// Which folders are runs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::live {

struct FoundRun {
  std::filesystem::path folder;
  std::string name;  // "softmax" of a run that was named itself, "sweep/runs/00003" of one found in a folder of runs
};

inline constexpr std::size_t kMostRuns = 2000;

// `place` itself if it is a run, or else the runs up to three folders below, in the order of their names, kMostRuns at
// most. Links are not followed. A place that is not there has none.
std::vector<FoundRun> find_runs(const std::filesystem::path& place);

}  // namespace polariscope::live
