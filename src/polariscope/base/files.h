// Files that are either whole or absent.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace polariscope {

// Writes to a temporary file beside `path`, fsyncs, renames over `path`, fsyncs the folder. On any
// failure (full disk, no permission) removes the temporary file, leaves `path` as it was and throws
// Error with the system's reason.
void write_file(const std::filesystem::path& path, std::string_view contents);

// Whole contents; throws Error if it cannot be read.
std::string read_file(const std::filesystem::path& path);

// Creates the folder and its parents; throws Error if that fails or if it is not writable.
void make_folder(const std::filesystem::path& path);

}  // namespace polariscope
