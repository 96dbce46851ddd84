#include "support/outside_data.h"

#include <cstdlib>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> places(const char* variable, const std::vector<fs::path>& usual) {
  std::vector<fs::path> all = usual;
  if (const char* folder = std::getenv(variable)) all.insert(all.begin(), folder);
  return all;
}

}  // namespace

fs::path outside_data(const std::string& name) {
  const fs::path sources = POLARISCOPE_SOURCE_DIR;
  for (const fs::path& place :
       places("POLARISCOPE_DATA", {sources / "../shared/data", sources / "../../shared/data"})) {
    if (fs::exists(place / name)) return place / name;
  }
  return {};
}

fs::path packaged_file(const std::string& package, const std::string& ending) {
  const fs::path sources = POLARISCOPE_SOURCE_DIR;
  for (const fs::path& place : places("POLARISCOPE_PACKAGES", {sources / "build/packages"})) {
    if (!fs::is_directory(place / package)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(place / package)) {
      if (entry.path().string().ends_with(ending)) return entry.path();
    }
  }
  return {};
}

}  // namespace polariscope::testing
