#include "polariscope/checkpoints/internal/source.h"

#include "polariscope/base/error.h"
#include "polariscope/checkpoints/internal/hub_cache.h"
#include "polariscope/checkpoints/internal/shard_index.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace polariscope::checkpoints {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPickles[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"};

bool is_pickle(const fs::path& path) { return std::ranges::count(kPickles, path.extension().string()) > 0; }

Error pickle(const fs::path& path) {
  return Error(
      "{}: is a pickle, which may run any program when it is opened: convert it where you trust it, a model with "
      "transformers' save_pretrained, its tensors alone with safetensors.torch.save_file",
      path.string());
}

// Of NAME-00002-of-00003.gguf all three; of another file itself.
std::vector<fs::path> gguf_pieces(const fs::path& path) {
  constexpr std::size_t kDigits = 5;
  constexpr std::string_view kOf = "-of-";
  const std::string stem = path.stem().string();
  constexpr std::size_t kTail = 1 + kDigits + kOf.size() + kDigits;
  if (stem.size() <= kTail) return {path};
  const std::string_view tail = std::string_view(stem).substr(stem.size() - kTail);
  const std::string_view count_text = tail.substr(kTail - kDigits);
  const bool digits = std::ranges::all_of(tail.substr(1, kDigits), [](char c) { return c >= '0' && c <= '9'; });
  unsigned count = 0;
  const auto [end, failure] = std::from_chars(count_text.data(), count_text.data() + kDigits, count);
  if (tail[0] != '-' || !digits || tail.substr(1 + kDigits, kOf.size()) != kOf || failure != std::errc() ||
      end != count_text.data() + kDigits) {
    return {path};
  }
  std::vector<fs::path> pieces;
  for (unsigned i = 1; i <= count; ++i) {
    pieces.push_back(path.parent_path() / fmt::format("{}-{:05}-of-{:05}{}", stem.substr(0, stem.size() - kTail), i,
                                                      count, path.extension().string()));
    if (!fs::exists(pieces.back())) {
      throw Error("{}: is missing: of {} the {} pieces belong into one folder", pieces.back().string(),
                  path.filename().string(), count);
    }
  }
  if (pieces.empty()) throw Error("{}: says by its name that it is a piece of none: give it another", path.string());
  return pieces;
}

Source gguf(const fs::path& path, const fs::path& folder) {
  const std::vector<fs::path> pieces = gguf_pieces(path);
  return {Format::kGguf, pieces.front(), folder, pieces, {}};
}

Source of_file(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::string extension = path.extension().string();
  if (extension == ".safetensors") return {Format::kSafetensors, path, folder, {path}, {}};
  if (extension == ".gguf") return gguf(path, folder);
  if (is_pickle(path)) throw pickle(path);
  throw Error(
      "{}: is no checkpoint by its name: give a .safetensors or .gguf file, a folder with config.json and "
      "model.safetensors, or a model's name",
      path.string());
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::error_code failure;
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure)) {
    files.push_back(entry->path());
  }
  if (failure) throw Error("{}: cannot be read ({})", folder.string(), failure.message());
  std::ranges::sort(files);
  return files;
}

// The one model in GGUF among the files: one file, or the pieces of one. Empty where there is none.
std::vector<fs::path> gguf_models(const std::vector<fs::path>& files) {
  std::vector<fs::path> models;
  for (const fs::path& file : files) {
    if (file.extension() != ".gguf") continue;
    const fs::path first = gguf_pieces(file).front();
    if (std::ranges::count(models, first) == 0) models.push_back(first);
  }
  return models;
}

std::string names(const std::vector<fs::path>& files) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> shown;
  for (const fs::path& file : files) {
    if (shown.size() < kShown) shown.push_back(file.filename().string());
  }
  if (files.size() > kShown) shown.emplace_back("...");
  return shown.empty() ? "nothing" : fmt::format("{}", fmt::join(shown, ", "));
}

Source in_folder(const fs::path& folder) {
  const fs::path whole = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (fs::exists(whole)) return {Format::kSafetensors, folder, folder, {whole}, {}};
  if (fs::exists(index)) return {Format::kSafetensors, folder, folder, shards_of(index), index};
  const std::vector<fs::path> files = files_in(folder);
  const std::vector<fs::path> models = gguf_models(files);
  if (models.size() == 1) return gguf(models.front(), folder);
  if (models.size() > 1) {
    throw Error("{}: holds {} models: give one of {}", folder.string(), models.size(), names(models));
  }
  const bool has_safetensors =
      std::ranges::any_of(files, [](const fs::path& file) { return file.extension() == ".safetensors"; });
  if (const auto found = std::ranges::find_if(files, is_pickle); !has_safetensors && found != files.end()) {
    throw pickle(*found);
  }
  throw Error(
      "{}: has no model.safetensors, model.safetensors.index.json or .gguf file, but {}: give a model's folder, or the "
      "file itself",
      folder.string(), names(files));
}

}  // namespace

Source find_source(const std::string& name) {
  std::error_code ignored;  // a name that is no path is none of a file
  if (fs::is_directory(name, ignored)) return in_folder(name);
  if (fs::exists(name, ignored)) return of_file(name);
  if (is_model_name(name)) return in_folder(find_in_hub_cache(name));
  throw Error("{}: there is no such file or folder, and it is no model's name (\"gpt2\", \"org/name\")", name);
}

}  // namespace polariscope::checkpoints
