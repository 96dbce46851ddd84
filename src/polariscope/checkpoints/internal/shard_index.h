// model.safetensors.index.json: which tensor lies in which of a model's files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace polariscope::checkpoints {

// From tensor to file name. Throws Error for a malformed index, or a file outside its folder.
std::map<std::string, std::string> read_shard_index(const std::filesystem::path& index);

// The files it names, sorted. Throws Error where one is missing.
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index);

}  // namespace polariscope::checkpoints
