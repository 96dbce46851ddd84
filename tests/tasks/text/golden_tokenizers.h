// The tokenizers of tests/golden/tokenizers.json.
#pragma once

#include "polariscope/base/files.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace polariscope::tasks::text::testing {

inline const nlohmann::json& golden() {
  static const nlohmann::json kGolden =
      nlohmann::json::parse(read_file(std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "tests/golden/tokenizers.json"));
  return kGolden;
}

// A tokenizer.json: whole, or an earlier one with other components.
inline nlohmann::json description_of(const nlohmann::json& entry, std::map<std::string, nlohmann::json>& earlier) {
  nlohmann::json description;
  if (entry.contains("whole")) {
    description = entry["whole"];
  } else {
    description = earlier.at(entry["like"]);
    description.update(entry["but"]);
  }
  earlier[entry["name"]] = description;
  return description;
}

inline Tokenizer golden_tokenizer(const std::string& name) {
  std::map<std::string, nlohmann::json> earlier;
  for (const auto& entry : golden()["tokenizers"]) {
    const nlohmann::json description = description_of(entry, earlier);
    if (entry["name"] == name) return Tokenizer::from_json(description.dump(), name);
  }
  throw std::runtime_error("no golden tokenizer " + name);
}

}  // namespace polariscope::tasks::text::testing
