#include "polariscope/checkpoints/checkpoint.h"

#include "polariscope/base/error.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/checkpoints/internal/json_file.h"
#include "polariscope/checkpoints/internal/source.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace polariscope::checkpoints {

struct Checkpoint::Contents {
  Source source;
  std::vector<Safetensors> safetensors;
  std::vector<Tensor> tensors;
  std::map<std::string_view, const Tensor*> by_name;
  nlohmann::json config;
};

namespace {

// How many of a tensor's first and last bytes its fingerprint takes.
constexpr std::size_t kProbe = 256;

Tensor tensor_of(const OtherTensor& other, const std::string& where) {
  const auto type = type_named(other.dtype);
  if (!type) {
    throw Error("{}: tensor \"{}\" has dtype {}, which the safetensors format did not know in version 0.8.0", where,
                other.name, nlohmann::json(other.dtype).dump());
  }
  const auto needed = bytes_needed(*type, other.shape);
  if (needed != static_cast<std::int64_t>(other.bytes.size())) {
    throw Error("{}: tensor \"{}\" of shape [{}] and dtype {} has {} bytes, which is not what the shape needs", where,
                other.name, fmt::join(other.shape, ", "), other.dtype, other.bytes.size());
  }
  return {other.name, *type, other.shape, other.bytes};
}

void add_tensors(const Safetensors& file, const std::string& where, std::vector<Tensor>& tensors) {
  for (const StoredTensor& stored : file.tensors()) {
    tensors.push_back({stored.name, *type_named(dtype_name(stored.dtype)), stored.shape, stored.bytes});
  }
  for (const OtherTensor& other : file.others()) tensors.push_back(tensor_of(other, where));
}

}  // namespace

std::string_view format_name(Format format) { return format == Format::kGguf ? "GGUF" : "safetensors"; }

Checkpoint::Checkpoint(const std::string& name) {
  auto contents = std::make_shared<Contents>();
  contents->source = find_source(name);
  for (const std::filesystem::path& path : contents->source.files) {
    add_tensors(contents->safetensors.emplace_back(path), path.string(), contents->tensors);
  }
  const auto config = contents->source.folder / "config.json";
  if (std::filesystem::exists(config)) contents->config = read_json(config);
  for (const Tensor& tensor : contents->tensors) contents->by_name.emplace(tensor.name, &tensor);
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

const nlohmann::json& Checkpoint::config() const { return contents_->config; }

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
