// What a sweep shows so far: the experiments that read its trainings, on those that are done.
#pragma once

#include <filesystem>
#include <string>

namespace polariscope::experiments {

// Writes `folder`/report.html, at any moment of the sweep and as often as one likes, and returns its path. Throws Error
// if there is no sweep, if none of its runs is done, or if no experiment reads trainings of its task.
std::filesystem::path write_sweep_report(const std::filesystem::path& folder);

}  // namespace polariscope::experiments
