// The floors of the house, lowest first; docs and the table agree on them. "tests" is tests/support alone.
#include "floors.h"

#include "flags.h"
#include "types.h"

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
    {"base", 0},   {"include", 0}, {"checkpoints", 1}, {"metrics", 1}, {"reweighting", 1},
    {"report", 1}, {"tests", 1},   {"c_api", 3},       {"live", 3},    {"attention", 2},
    {"flow", 2},   {"runs", 2},    {"tasks", 2},       {"models", 3},  {"sweep", 3},
    {"audit", 4},  {"train", 4},   {"experiments", 5}, {"cli", 6},     {"bench", 6},
};
// The files that may use LibTorch: all of attention/torch/, and these. Every other is built without it.
const std::set<std::string> kWithTorch = {
    "bench/bench_lm.cpp",
    "bench/bench_train.cpp",
    "bench/train_products.cpp",
    "bench/train_products.h",
    "cli/transformers.cpp",
    "src/polariscope/models/architecture.cpp",
    "src/polariscope/models/architecture.h",
    "src/polariscope/models/embedding.cpp",
    "src/polariscope/models/embedding.h",
    "src/polariscope/models/internal/chunks.h",
    "src/polariscope/models/internal/matrix_product.cpp",
    "src/polariscope/models/internal/matrix_product.h",
    "src/polariscope/models/language/head_loss.cpp",
    "src/polariscope/models/language/head_loss.h",
    "src/polariscope/models/language/internal/plain_layers.cpp",
    "src/polariscope/models/language/internal/plain_layers.h",
    "src/polariscope/models/language/internal/products.cpp",
    "src/polariscope/models/language/internal/products.h",
    "src/polariscope/models/language/internal/row_chunks.h",
    "src/polariscope/models/language/language_model.cpp",
    "src/polariscope/models/language/language_model.h",
    "src/polariscope/models/language/layers.cpp",
    "src/polariscope/models/language/layers.h",
    "src/polariscope/models/language/sigma_reparam.cpp",
    "src/polariscope/models/language/sigma_reparam.h",
    "src/polariscope/models/language/tensor_experts.cpp",
    "src/polariscope/models/language/tensor_operations.cpp",
    "src/polariscope/models/language/tensor_operations.h",
    "src/polariscope/models/layers.cpp",
    "src/polariscope/models/layers.h",
    "src/polariscope/models/model.h",
    "src/polariscope/models/parameters.cpp",
    "src/polariscope/models/parameters.h",
    "src/polariscope/models/residual_layers.cpp",
    "src/polariscope/models/residual_layers.h",
    "src/polariscope/models/transformer.cpp",
    "src/polariscope/models/transformer.h",
    "src/polariscope/train/cls_attention.cpp",
    "src/polariscope/train/cls_attention.h",
    "src/polariscope/train/evaluation.cpp",
    "src/polariscope/train/evaluation.h",
    "src/polariscope/train/evaluation_files.cpp",
    "src/polariscope/train/evaluation_files.h",
    "src/polariscope/train/flip_example.cpp",
    "src/polariscope/train/flip_example.h",
    "src/polariscope/train/flip_rates.cpp",
    "src/polariscope/train/flip_rates.h",
    "src/polariscope/train/gradient_buckets.cpp",
    "src/polariscope/train/gradient_buckets.h",
    "src/polariscope/train/language_batches.cpp",
    "src/polariscope/train/language_batches.h",
    "src/polariscope/train/language_options.cpp",
    "src/polariscope/train/language_options.h",
    "src/polariscope/train/language_plan.cpp",
    "src/polariscope/train/language_training.cpp",
    "src/polariscope/train/language_training.h",
    "src/polariscope/train/loss.cpp",
    "src/polariscope/train/loss.h",
    "src/polariscope/train/memory_meter.cpp",
    "src/polariscope/train/memory_meter.h",
    "src/polariscope/train/mitigations.cpp",
    "src/polariscope/train/mitigations.h",
    "src/polariscope/train/monitor.cpp",
    "src/polariscope/train/monitor.h",
    "src/polariscope/train/optimiser.cpp",
    "src/polariscope/train/optimiser.h",
    "src/polariscope/train/probes.cpp",
    "src/polariscope/train/probes.h",
    "src/polariscope/train/process.cpp",
    "src/polariscope/train/no_ranks.cpp",
    "src/polariscope/train/ranks.cpp",
    "src/polariscope/train/ranks.h",
    "src/polariscope/train/stored_parameters.cpp",
    "src/polariscope/train/stored_parameters.h",
    "src/polariscope/train/task_batches.cpp",
    "src/polariscope/train/task_batches.h",
    "src/polariscope/train/trainer.cpp",
    "src/polariscope/train/trainer.h",
    "src/polariscope/train/transformer_training.cpp",
    "src/polariscope/train/transformer_training.h",
};
// The reference of the kernels' tests: were a program's numbers its own, its faults would be invisible to them.
const std::string kOracle = "src/polariscope/attention/oracle/";
const std::set<std::string> kWithOracle = {
    "bench/bench_accuracy.cpp",
    "src/polariscope/experiments/lipschitz/controlled_variance.cpp",
};
// Files of the library that write a command line: that of a program they start, or one for people to type again.
const std::set<std::string> kWithFlags = {
    "src/polariscope/checkpoints/internal/hub_cache.cpp",
    "src/polariscope/experiments/reproduce.cpp",
    "src/polariscope/experiments/shared/training_sweep.cpp",
    "src/polariscope/sweep/local_workers.cpp",
};
const std::string kTorchFolder = "src/polariscope/attention/torch/";
const std::string kLibrary = "src/polariscope/";

// "src/polariscope/flow/internal/x.h" -> "flow", "cli/flow.cpp" -> "cli"
std::string folder_of(const std::string& path) {
  const std::string rest = path.starts_with(kLibrary) ? path.substr(kLibrary.size()) : path;
  return rest.substr(0, rest.find('/'));
}

bool may_use_torch(const std::string& path) { return path.starts_with(kTorchFolder) || kWithTorch.contains(path); }

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
  for (const char* root : {"src/", "include/", "tests/"}) {
    if (known.contains(root + include.name)) return root + include.name;
  }
  if (known.contains(include.name)) return include.name;
  return std::nullopt;
}

// Outermost names that the package may import: the standard library's and NumPy, and what is asked for where a user
// calls for it.
const std::set<std::string> kPythonPackages = {"__future__",   "abc",         "base64",
                                               "bisect",       "collections", "contextlib",
                                               "copy",         "ctypes",      "dataclasses",
                                               "datetime",     "difflib",     "enum",
                                               "functools",    "gzip",        "hashlib",
                                               "html",         "importlib",   "inspect",
                                               "io",           "itertools",   "json",
                                               "logging",      "math",        "numbers",
                                               "operator",     "os",          "pathlib",
                                               "platform",     "re",          "shutil",
                                               "statistics",   "string",      "struct",
                                               "subprocess",   "sys",         "tempfile",
                                               "textwrap",     "threading",   "time",
                                               "types",        "typing",      "typing_extensions",
                                               "unicodedata",  "warnings",    "weakref",
                                               "zipfile",      "numpy",       "torch",
                                               "transformers", "lightning",   "pytorch_lightning",
                                               "matplotlib",   "pandas",      "triton",
                                               "IPython"};

struct PythonImport {
  std::string name;  // "torch" of `import torch.nn`, ".calls.one" of `from .calls.one import x`, ".calls" of `from .
                     // import calls`
  bool lazy;         // inside a function, asked for where it is called
};

std::vector<PythonImport> python_imports(const std::string& text) {
  static const std::regex kImport(R"(^(\s*)import\s+(\w+))"), kFrom(R"(^(\s*)from\s+(\.+[\w.]+|\w+))"),
      kSiblings(R"(^(\s*)from\s+(\.+)\s+import\s+(.*)$)"), kName(R"(\w+)");
  std::vector<PythonImport> found;
  std::istringstream lines(text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, match, kSiblings)) {
      const std::string names = match[3];
      for (std::sregex_iterator name(names.begin(), names.end(), kName), end; name != end; ++name) {
        found.push_back({match.str(2) + name->str(), match.length(1) > 0});
      }
    } else if (std::regex_search(line, match, kImport) || std::regex_search(line, match, kFrom)) {
      found.push_back({match[2], match.length(1) > 0});
    }
  }
  return found;
}

class Checker {
 public:
  explicit Checker(const std::vector<SourceFile>& files) : files_(files) {
    for (const SourceFile& file : files) paths_.insert(file.path);
  }

  std::vector<std::string> run() {
    for (const SourceFile& file : files_) {
      if (file.path.ends_with(".py")) {
        check_python(file);
      } else {
        check_file(file);
        check_flags(file);
        for (const std::string& name : defined_types(file.text)) check_definition(name, file.path);
      }
    }
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
        if (may_use_torch(*target) && !may_use_torch(file.path)) {
          complain(what + ", which uses LibTorch: " + file.path + " is built without it");
        }
        if (target->starts_with(kOracle) && !file.path.starts_with(kOracle) && !kWithOracle.contains(file.path)) {
          complain(what + ", the tests' reference: use the kernels");
        }
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
    const bool looks_inside = folder == "bench" && !is_per_target(target);
    if ((is_internal(target) || is_per_target(target)) && !kernel_to_kernel && !looks_inside) {
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
    if (!may_use_torch(path) && (begins("torch/") || begins("ATen/") || begins("c10/"))) {
      complain(what + ": " + path + " is built without LibTorch");
    }
    if (folder_of(path) == "reweighting" && path.ends_with(".h") && !is_per_target(path) && !is_internal(path) &&
        begins("hwy/")) {
      complain(what + ": the face of reweighting holds no SIMD, put it in a -inl.h file");
    }
  }

  void check_flags(const SourceFile& file) {
    if (!file.path.starts_with(kLibrary) || kWithFlags.contains(file.path)) return;
    for (const std::string& flag : flags_in_literals(file.text)) {
      complain(file.path + " tells of " + flag + ", which callers from C++ and Python never typed: say what is meant");
    }
  }

  void check_definition(const std::string& name, const std::string& path) {
    const auto [before, is_new] = definitions_.emplace(name, path);
    if (!is_new)
      complain(path + " defines " + name + ", as " + before->second + " does: one of them needs another name");
  }

  // The wheel is one package: its files import the standard library, NumPy, what users have of the rest, and each
  // other.
  void check_python(const SourceFile& file) {
    for (const auto& [module, lazy] : python_imports(file.text)) {
      if (!module.starts_with(".")) {
        if (!kPythonPackages.contains(module))
          complain(file.path + " imports " + module + ", which users need not have");
        continue;
      }
      std::filesystem::path folder = std::filesystem::path(file.path).parent_path();
      const std::size_t dots = module.find_first_not_of('.');
      for (std::size_t up = 1; up < dots; ++up) folder = folder.parent_path();
      std::string inner = module.substr(dots);
      std::replace(inner.begin(), inner.end(), '.', '/');
      for (const char* ending : {".py", "/__init__.py"}) {
        const std::string target = (folder / (inner + ending)).generic_string();
        if (paths_.contains(target) && !lazy) graph_[file.path].push_back(target);
      }
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
  std::map<std::string, std::string> definitions_;  // full name of a type -> the file that defines it
  std::vector<std::string> way_;
  std::set<std::string> done_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> floor_violations(const std::vector<SourceFile>& files) { return Checker(files).run(); }

}  // namespace polariscope::testing
