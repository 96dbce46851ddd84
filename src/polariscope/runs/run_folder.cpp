#include "polariscope/runs/run_folder.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <algorithm>
#include <sstream>
#include <system_error>
#include <utility>

namespace polariscope::runs {
namespace {

// Empty, or with nothing but the temporary file of a process that was killed while it began a run here.
bool is_unused(const std::filesystem::path& folder) {
  return std::ranges::all_of(std::filesystem::directory_iterator(folder), [](const auto& entry) {
    const std::string name = entry.path().filename().string();
    return name.starts_with(".config.toml.") && name.ends_with(".tmp");
  });
}

constexpr const char* kLock = ".lock";

FileLock lock_of(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kLock;
  if (auto lock = FileLock::take(path)) {
    lock->sign();
    return std::move(*lock);
  }
  throw Error("{}: {} is at work on this run: let it end or stop it first, or choose another folder", folder.string(),
              FileLock::signature(path));
}

// Opened without a lock, which would be a file left in a folder that may not be ours.
const std::filesystem::path& opened(const std::filesystem::path& folder, const std::string& config) {
  open_run_folder(folder, config);
  return folder;
}

}  // namespace

std::optional<std::pair<std::string, std::string>> first_difference(const std::string& config,
                                                                    const std::string& other) {
  std::istringstream ones(config), others(other);
  while (true) {
    std::string one, another;
    const bool more = static_cast<bool>(std::getline(ones, one));
    const bool more_of_other = static_cast<bool>(std::getline(others, another));
    if (!more && !more_of_other) return std::nullopt;
    if (more != more_of_other || one != another) return std::pair{one, another};
  }
}

void open_run_folder(const std::filesystem::path& folder, const std::string& config) {
  make_folder(folder);
  const std::filesystem::path path = folder / "config.toml";
  if (!std::filesystem::exists(path) && is_unused(folder)) {
    write_file(path, config);
    return;
  }
  // Looked for again: another process may have begun the same run here just now.
  if (!std::filesystem::exists(path)) {
    throw Error("{} is not empty and holds no run of Polariscope: choose another folder", folder.string());
  }
  if (const auto lines = first_difference(read_file(path), config)) {
    throw Error("{} holds another run: its config.toml says \"{}\" where this run has \"{}\"; choose another folder",
                folder.string(), lines->first, lines->second);
  }
  remove_left_behind(folder);
}

RunFolder::RunFolder(std::filesystem::path folder, const std::string& config)
    : path_(std::move(folder)), lock_(lock_of(opened(path_, config))) {
  // Before the lock another process may have begun another run here at the same moment.
  open_run_folder(path_, config);
}

RunFolder::RunFolder(std::filesystem::path folder) : path_(std::move(folder)), lock_(lock_of(path_)) {
  remove_left_behind(path_);
}

std::string RunFolder::config() const {
  const std::filesystem::path config = path_ / "config.toml";
  return std::filesystem::exists(config) ? read_file(config) : "";
}

RunFolder::~RunFolder() {
  std::error_code unknown;
  std::filesystem::remove(path_ / kLock, unknown);
}

}  // namespace polariscope::runs
