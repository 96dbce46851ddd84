// The floors of the house, lowest first; docs and the table agree on them.
#include "floors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

namespace polariscope::testing {
namespace {

const std::map<std::string, int> kFloors = {
    {"base", 0},  {"metrics", 1}, {"reweighting", 1}, {"report", 1}, {"attention", 2},   {"flow", 2}, {"runs", 2},
    {"tasks", 2}, {"models", 3},  {"sweep", 3},       {"train", 4},  {"experiments", 5}, {"cli", 6},  {"bench", 6},
};
const std::set<std::string> kWithoutTorch = {"base", "metrics", "reweighting", "report",     "flow",
                                             "runs", "tasks",   "sweep",       "experiments"};
const std::string kLibrary = "src/polariscope/";

// "src/polariscope/flow/internal/x.h" -> "flow", "cli/flow.cpp" -> "cli"
std::string folder_of(const std::string& path) {
  const std::string rest = path.starts_with(kLibrary) ? path.substr(kLibrary.size()) : path;
  return rest.substr(0, rest.find('/'));
}

// Compiled once per instruction set, so of no use outside a kernel.
bool is_per_target(const std::string& path) { return path.ends_with("-inl.h"); }

bool is_internal(const std::string& path) { return path.find("/internal/") != std::string::npos; }

struct Include {
  std::string name;
  bool quoted;
};

std::vector<Include> includes_of(const std::string& text) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<Include> found;
  std::istringstream lines(text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, match, kInclude)) found.push_back({match[2], match[1] == "\""});
  }
  return found;
}

// Path of the project's file that `include` in `from` means, as the compiler looks it up.
std::optional<std::string> resolve(const std::string& from, const Include& include,
                                   const std::set<std::string>& known) {
  const std::filesystem::path folder = std::filesystem::path(from).parent_path();
  const std::string beside = (folder / include.name).lexically_normal().generic_string();
  if (include.quoted && known.contains(beside)) return beside;
  if (known.contains("src/" + include.name)) return "src/" + include.name;
  if (known.contains(include.name)) return include.name;
  return std::nullopt;
}

class Checker {
 public:
  explicit Checker(const std::vector<SourceFile>& files) : files_(files) {
    for (const SourceFile& file : files) paths_.insert(file.path);
  }

  std::vector<std::string> run() {
    for (const SourceFile& file : files_) check_file(file);
    for (const auto& [path, targets] : graph_) find_circle(path);
    return violations_;
  }

 private:
  void check_file(const SourceFile& file) {
    const std::string folder = folder_of(file.path);
    if (!kFloors.contains(folder)) {
      complain(file.path + " is in folder \"" + folder + "\", which has no floor: give it one in tests/floors");
      return;
    }
    for (const Include& include : includes_of(file.text)) {
      const std::string what = file.path + " includes " + include.name;
      if (const auto target = resolve(file.path, include, paths_)) {
        graph_[file.path].push_back(*target);
        check_floor(what, file.path, *target);
      } else if (include.quoted || include.name.starts_with("polariscope/")) {
        complain(what + ", which is no file of the project: write \"polariscope/folder/file.h\"");
      } else {
        check_library(what, file.path, include.name);
      }
    }
  }

  void check_floor(const std::string& what, const std::string& path, const std::string& target) {
    const std::string folder = folder_of(path);
    const std::string target_folder = folder_of(target);
    if (folder == target_folder) return;
    const bool kernel_to_kernel = is_per_target(path) && is_per_target(target) && !is_internal(target);
    if ((is_internal(target) || is_per_target(target)) && !kernel_to_kernel) {
      complain(what + ", which only " + target_folder + " may include: use its face");
    }
    const auto floor = kFloors.find(target_folder);
    if (floor != kFloors.end() && floor->second >= kFloors.at(folder)) {
      complain(what + ": " + folder + " (floor " + std::to_string(kFloors.at(folder)) + ") may not import from " +
               target_folder + " (floor " + std::to_string(floor->second) + ")");
    }
  }

  void check_library(const std::string& what, const std::string& path, const std::string& name) {
    const auto begins = [&name](const char* folder) { return name.starts_with(folder); };
    if (kWithoutTorch.contains(folder_of(path)) && (begins("torch/") || begins("ATen/") || begins("c10/"))) {
      complain(what + ": " + folder_of(path) + " is built without LibTorch");
    }
    if (folder_of(path) == "reweighting" && path.ends_with(".h") && !is_per_target(path) && !is_internal(path) &&
        begins("hwy/")) {
      complain(what + ": the face of reweighting holds no SIMD, put it in a -inl.h file");
    }
  }

  // Depth-first search; a file met again while it is on the way closes a circle.
  void find_circle(const std::string& path) {
    const auto met = std::find(way_.begin(), way_.end(), path);
    if (met != way_.end()) {
      std::string circle;
      for (auto step = met; step != way_.end(); ++step) circle += *step + " -> ";
      complain(circle + path + ": these include each other in a circle");
      return;
    }
    if (!done_.insert(path).second) return;
    way_.push_back(path);
    if (const auto targets = graph_.find(path); targets != graph_.end()) {
      for (const std::string& target : targets->second) find_circle(target);
    }
    way_.pop_back();
  }

  void complain(const std::string& sentence) { violations_.push_back(sentence); }

  const std::vector<SourceFile>& files_;
  std::set<std::string> paths_;
  std::map<std::string, std::vector<std::string>> graph_;
  std::vector<std::string> way_;
  std::set<std::string> done_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> floor_violations(const std::vector<SourceFile>& files) { return Checker(files).run(); }

}  // namespace polariscope::testing
