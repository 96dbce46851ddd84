#include "polariscope/checkpoints/checkpoint.h"

#include "polariscope/base/error.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/checkpoints/gguf.h"
#include "polariscope/checkpoints/internal/json_file.h"
#include "polariscope/checkpoints/internal/safetensors_tensors.h"
#include "polariscope/checkpoints/internal/shard_index.h"
#include "polariscope/checkpoints/internal/source.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace polariscope::checkpoints {

struct Checkpoint::Contents {
  Source source;
  std::vector<Safetensors> safetensors;
  std::vector<Gguf> gguf;
  std::vector<Tensor> tensors;
  std::map<std::string_view, const Tensor*> by_name;
  nlohmann::json config;  // of safetensors

  void open_safetensors();
  void open_gguf();
  void index_names();
};

namespace {

// How many of a tensor's first and last bytes its fingerprint takes.
constexpr std::size_t kProbe = 256;

// How many pieces the model has that the file is one of; 1 of a whole one.
std::size_t pieces_of(const Gguf& file) {
  const auto count = file.metadata().find("split.count");
  return count != file.metadata().end() && count->is_number_unsigned() ? count->get<std::size_t>() : 1;
}

}  // namespace

void Checkpoint::Contents::index_names() {
  for (const Tensor& tensor : tensors) {
    if (!by_name.emplace(tensor.name, &tensor).second) {
      throw Error("{}: tensor \"{}\" is in two of the model's files", source.path.string(), tensor.name);
    }
  }
}

void Checkpoint::Contents::open_safetensors() {
  std::map<std::string, std::string> file_of;
  for (const std::filesystem::path& path : source.files) {
    const std::size_t first = tensors.size();
    add_tensors(safetensors.emplace_back(path), path.string(), tensors);
    for (std::size_t i = first; i < tensors.size(); ++i) file_of[tensors[i].name] = path.filename().string();
  }
  index_names();
  if (!source.index.empty()) {
    for (const auto& [tensor, file] : read_shard_index(source.index)) {
      if (const auto found = file_of.find(tensor); found == file_of.end() || found->second != file) {
        throw Error("{}: says that tensor \"{}\" is in {}, where it is not: fetch the model anew",
                    source.index.string(), tensor, file);
      }
    }
  }
  const auto config_file = source.folder / "config.json";
  if (std::filesystem::exists(config_file)) config = read_json(config_file);
}

void Checkpoint::Contents::open_gguf() {
  for (const std::filesystem::path& path : source.files) {
    const Gguf& file = gguf.emplace_back(path);
    if (pieces_of(file) != source.files.size()) {
      throw Error("{}: is one of {} pieces, but by its name of {}: give the pieces the names NAME-00001-of-{:05}.gguf",
                  path.string(), pieces_of(file), source.files.size(), pieces_of(file));
    }
    tensors.insert(tensors.end(), file.tensors().begin(), file.tensors().end());
  }
  index_names();
}

std::string_view format_name(Format format) { return format == Format::kGguf ? "GGUF" : "safetensors"; }

Checkpoint::Checkpoint(const std::string& name) {
  auto contents = std::make_shared<Contents>();
  contents->source = find_source(name);
  if (contents->source.format == Format::kGguf) {
    contents->open_gguf();
  } else {
    contents->open_safetensors();
  }
  contents_ = std::move(contents);
}

const std::vector<Tensor>& Checkpoint::tensors() const { return contents_->tensors; }

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto found = contents_->by_name.find(name);
  if (found == contents_->by_name.end()) return nullptr;
  const Tensor& tensor = *found->second;
  if (!is_read(tensor.type)) {
    throw Error("{}: tensor \"{}\" has type {}, which is not read: convert it to one of {}", path().string(), name,
                type_name(tensor.type), read_types());
  }
  return &tensor;
}

Format Checkpoint::format() const { return contents_->source.format; }

const std::filesystem::path& Checkpoint::path() const { return contents_->source.path; }

const std::filesystem::path& Checkpoint::folder() const { return contents_->source.folder; }

const nlohmann::json& Checkpoint::config() const {
  return contents_->gguf.empty() ? contents_->config : contents_->gguf.front().metadata();
}

std::uint64_t Checkpoint::fingerprint() const {
  std::string text;
  for (const Tensor& tensor : tensors()) {
    text += fmt::format("{}:{}[{}]", tensor.name, type_name(tensor.type), fmt::join(tensor.shape, ","));
    const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    text += bytes.substr(0, kProbe);
    text += bytes.substr(bytes.size() - std::min(kProbe, bytes.size()));
  }
  return polariscope::fingerprint(text);
}

}  // namespace polariscope::checkpoints
