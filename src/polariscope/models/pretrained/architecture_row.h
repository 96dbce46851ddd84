// The table of pretrained architectures: one row says how a config becomes a description and where the tensors are.
#pragma once

#include "polariscope/models/pretrained/config_reader.h"
#include "polariscope/models/pretrained/description.h"
#include "polariscope/models/pretrained/sources.h"

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

// What a row may ask of the checkpoint beside its config.
struct TensorsAtHand {
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes;  // by name, as stored
  // The numbers of a tensor (GGUF's rope_freqs.weight), empty where there is none.
  std::function<std::vector<double>(std::string_view name)> numbers;
  bool to_be_made = false;  // a new model's: there is no checkpoint that could disagree

  bool has(std::string_view name) const { return shapes.contains(name); }
};

// Sources name the head's tensor even where the head is tied: a file may hold it nevertheless.
struct Plan {
  Description description = {};
  Sources sources = {};
  std::vector<std::string> ignored_tensors = {};  // beside those of the row
};

// `name`: model_type in config.json, general.architecture in GGUF. A tensor that is neither a source nor ignored is
// an error; of `ignored_tensors` one that begins with * ends so, one that ends with * begins so.
struct PretrainedRow {
  std::string_view name = {};
  Plan (*read)(const ConfigReader& config, const TensorsAtHand& tensors);
  std::string_view prefix = "";  // of the base model's tensors; files of the base model alone are without it
  std::vector<std::string_view> ignored_keys = {};
  std::vector<std::string_view> ignored_tensors = {};
};

// Those of rows/, by name.
std::span<const PretrainedRow> pretrained_rows();
std::span<const PretrainedRow> gguf_rows();

// Throws Error with the nearest known names.
const PretrainedRow& find_pretrained_row(std::string_view model_type);
const PretrainedRow& find_gguf_row(std::string_view architecture);

}  // namespace polariscope::models
