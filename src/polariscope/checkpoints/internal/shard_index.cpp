#include "polariscope/checkpoints/internal/shard_index.h"

#include "polariscope/base/error.h"
#include "polariscope/checkpoints/internal/json_file.h"

#include <nlohmann/json.hpp>

#include <set>

namespace polariscope::checkpoints {

std::map<std::string, std::string> read_shard_index(const std::filesystem::path& index) {
  const nlohmann::json parsed = read_json(index);
  const auto map = parsed.find("weight_map");
  if (map == parsed.end() || !map->is_object() || map->empty()) {
    throw Error("{}: has no \"weight_map\" from tensors to files", index.string());
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    const bool is_plain = name == std::filesystem::path(name).filename() && name.ends_with(".safetensors") &&
                          name.find('\0') == std::string::npos;
    if (!is_plain) {
      throw Error("{}: tensor \"{}\" lies in {}: expected the name of a .safetensors file in the same folder",
                  index.string(), tensor, file.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    }
    shards[tensor] = name;
  }
  return shards;
}

std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index) {
  std::set<std::string> names;
  for (const auto& [tensor, file] : read_shard_index(index)) names.insert(file);
  std::vector<std::filesystem::path> files;
  for (const std::string& name : names) {
    files.push_back(index.parent_path() / name);
    if (!std::filesystem::exists(files.back())) {
      throw Error("{}: is missing, one of the {} files that {} names: fetch the model whole", files.back().string(),
                  names.size(), index.filename().string());
    }
  }
  return files;
}

}  // namespace polariscope::checkpoints
