// A run is a folder that says what run it is, so that no run overwrites another.
#pragma once

#include <filesystem>
#include <string>

namespace polariscope::runs {

// Creates `folder` if need be and makes it the run that `config` (the text of its config.toml) describes.
// A folder that already holds the same run is taken again, without what killed processes left half written there; one
// that holds another run, or anything else, is refused: throws Error with the first line that differs. Throws Error
// where it cannot be written.
void open_run_folder(const std::filesystem::path& folder, const std::string& config);

}  // namespace polariscope::runs
