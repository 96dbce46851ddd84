// Tokenizers that others published: in the folder named by POLARISCOPE_DATA, or shared/data beside the sources.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::tasks::text::testing {

// "" where it is not there.
inline std::filesystem::path published(const std::string& name) {
  const std::filesystem::path sources = POLARISCOPE_SOURCE_DIR;
  std::vector<std::filesystem::path> places{sources / "../shared/data", sources / "../../shared/data"};
  if (const char* data = std::getenv("POLARISCOPE_DATA")) places.insert(places.begin(), data);
  for (const auto& place : places) {
    if (std::filesystem::exists(place / name)) return place / name;
  }
  return {};
}

}  // namespace polariscope::tasks::text::testing
