#include "polariscope/sweep/internal/databases.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <map>
#include <regex>

namespace polariscope::sweep {

std::vector<std::filesystem::path> any_databases_in(const std::filesystem::path& folder) {
  static const std::regex kName(R"(runs(?:-(\d{1,9})-of-\d{1,9})?\.sqlite)");
  std::map<int, std::filesystem::path> by_shard;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::smatch parts;
    if (std::regex_match(name, parts, kName)) by_shard[parts[1].matched ? std::stoi(parts[1]) : 1] = entry.path();
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& [shard, path] : by_shard) paths.push_back(path);
  return paths;
}

std::vector<std::filesystem::path> databases_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths = any_databases_in(folder);
  if (paths.empty()) throw Error("{}: holds no sweep: give the folder of one", folder.string());
  return paths;
}

Tally tally_of(const Database& database) {
  Tally tally;
  const std::map<std::string, int*> counts{
      {"waiting", &tally.waiting}, {"running", &tally.running}, {"done", &tally.done}, {"failed", &tally.failed}};
  Statement rows = database.prepare("SELECT state, count(*) FROM run GROUP BY state");
  while (rows.step()) *counts.at(rows.text(0)) = static_cast<int>(rows.whole(1));
  return tally;
}

}  // namespace polariscope::sweep
