// Files that are either whole or absent.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace polariscope {

// Writes to a temporary file beside `path` (of a link: beside where it leads), fsyncs, renames over it, fsyncs the
// folder. Throws Error for what is no file, a device say. On any
// failure (full disk, no permission) removes the temporary file, leaves `path` as it was and throws
// Error with the system's reason. Removes what a killed process left of an earlier write of the same file.
void write_file(const std::filesystem::path& path, std::string_view contents);

// The same for contents in pieces, one after the other, so that large ones need no copy.
void write_file(const std::filesystem::path& path, std::span<const std::string_view> pieces);

// Removes the temporary files that killed processes left in `folder` and below, but not those of living ones.
void remove_left_behind(const std::filesystem::path& folder);

// Whole contents; throws Error if it cannot be read or has no reasonable end.
std::string read_file(const std::filesystem::path& path);

// Creates the folder and its parents; throws Error if that fails or if it is not writable.
void make_folder(const std::filesystem::path& path);

}  // namespace polariscope
