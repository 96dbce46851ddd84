#include "polariscope/checkpoints/internal/hub_cache.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace polariscope::checkpoints {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--", kSlash = "--";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path home() { return variable("HOME"); }

fs::path with_home(const std::string& path) {
  if (path == "~") return home();
  return path.starts_with("~/") ? home() / path.substr(2) : fs::path(path);
}

// Letters, digits, ".", "_", "-"; neither "." nor "..".
bool is_plain(std::string_view part) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !part.empty() && part.find("..") == std::string_view::npos && part != "." &&
         std::ranges::all_of(part, allowed);
}

struct Wanted {
  std::string model, revision;  // revision: "" where none is asked for
};

Wanted wanted(std::string_view name) {
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, at)), std::string(name.substr(at + 1))};
}

std::string folder_name(std::string model) {
  if (const std::size_t slash = model.find('/'); slash != std::string::npos) model.replace(slash, 1, kSlash);
  return std::string(kPrefix) + model;
}

std::vector<std::string> entries_of(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure)) {
    found.push_back(entry->path().filename().string());
  }
  std::ranges::sort(found);
  return found;
}

// ", did you mean \"org/name\"?" or what else the cache holds.
std::string advice(const fs::path& cache, const std::string& model) {
  std::vector<std::string> models;
  for (std::string entry : entries_of(cache)) {
    if (!entry.starts_with(kPrefix)) continue;
    entry.erase(0, kPrefix.size());
    if (const std::size_t at = entry.find(kSlash); at != std::string::npos) entry.replace(at, kSlash.size(), "/");
    models.push_back(std::move(entry));
  }
  const std::vector<std::string_view> known(models.begin(), models.end());
  const std::string nearest = nearest_name(model, known);
  return nearest.empty() ? "" : fmt::format(", where \"{}\" is", nearest);
}

std::string commit_of(const fs::path& folder, const std::string& revision) {
  const fs::path reference = folder / "refs" / (revision.empty() ? "main" : revision);
  if (!fs::is_regular_file(reference)) return revision;
  std::string commit = read_file(reference);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  if (!is_plain(commit)) throw Error("{}: does not name a commit: fetch the model anew", reference.string());
  return commit;
}

}  // namespace

bool is_model_name(std::string_view name) {
  const auto [model, revision] = wanted(name);
  const std::size_t slash = model.find('/');
  const bool model_is_plain = slash == std::string::npos
                                  ? is_plain(model)
                                  : is_plain(model.substr(0, slash)) && is_plain(model.substr(slash + 1));
  const std::string in_one_piece = [&, text = revision]() mutable {
    std::ranges::replace(text, '/', '-');  // refs/pr/1
    return text;
  }();
  return model_is_plain && (name.find('@') == std::string_view::npos || is_plain(in_one_piece)) &&
         !revision.starts_with('/');
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) return with_home(folder);
  }
  if (const std::string folder = variable("HF_HOME"); !folder.empty()) return with_home(folder) / "hub";
  const std::string cache = variable("XDG_CACHE_HOME");
  return (cache.empty() ? home() / ".cache" : with_home(cache)) / "huggingface" / "hub";
}

fs::path find_in_hub_cache(std::string_view name) {
  const auto [model, revision] = wanted(name);
  const fs::path cache = hub_cache(), folder = cache / folder_name(model);
  if (!fs::is_directory(folder)) {
    throw Error(
        "\"{}\" is neither a file nor a folder here, and no model in the cache {}{}: fetch it with `hf download {}`, "
        "or "
        "say with HF_HOME or HF_HUB_CACHE where it lies",
        name, cache.string(), advice(cache, model), model);
  }
  const fs::path snapshots = folder / "snapshots";
  std::string commit = commit_of(folder, revision);
  const std::vector<std::string> commits = entries_of(snapshots);
  if (commit.empty() && commits.size() == 1) commit = commits.front();
  if (commit.empty() || !fs::is_directory(snapshots / commit)) {
    throw Error("{}: has no revision \"{}\" of {} but {}: fetch it with `hf download {} --revision {}`",
                snapshots.string(), revision.empty() ? "main" : revision, model,
                commits.empty() ? "none" : fmt::format("{}", fmt::join(commits, ", ")), model,
                revision.empty() ? "main" : revision);
  }
  return snapshots / commit;
}

}  // namespace polariscope::checkpoints
