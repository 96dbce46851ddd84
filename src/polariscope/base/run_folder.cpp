#include "polariscope/base/run_folder.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <sstream>

namespace polariscope {

void open_run_folder(const std::filesystem::path& folder, const std::string& config) {
  make_folder(folder);
  const std::filesystem::path path = folder / "config.toml";
  if (!std::filesystem::exists(path)) {
    if (!std::filesystem::is_empty(folder)) {
      throw Error("--out {} is not empty and holds no run of Polariscope: choose another folder", folder.string());
    }
    write_file(path, config);
    return;
  }
  std::istringstream found(read_file(path));
  std::istringstream wanted(config);
  std::string found_line;
  std::string wanted_line;
  while (true) {
    const bool more_found = static_cast<bool>(std::getline(found, found_line));
    const bool more_wanted = static_cast<bool>(std::getline(wanted, wanted_line));
    if (!more_found && !more_wanted) return;
    if (more_found != more_wanted || found_line != wanted_line) {
      throw Error(
          "--out {} holds another run: its config.toml says \"{}\" where this run has \"{}\"; choose another folder",
          folder.string(), more_found ? found_line : "", more_wanted ? wanted_line : "");
    }
  }
}

}  // namespace polariscope
