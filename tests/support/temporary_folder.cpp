// A folder that lives as long as its test.
#include "support/temporary_folder.h"

#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <string>

namespace polariscope::testing {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "polariscope-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make the temporary folder " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // a destructor must not throw; what is left lies in the temporary folder
  std::filesystem::remove_all(path_, ignored);
}

int entries(const std::filesystem::path& folder) {
  const std::filesystem::directory_iterator begin(folder);
  return static_cast<int>(std::distance(begin, std::filesystem::directory_iterator()));
}

}  // namespace polariscope::testing
