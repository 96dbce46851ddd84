// The report's "Method": definitions of what was measured and decisions where the papers are ambiguous.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {

std::vector<std::pair<std::string, std::string>> definitions();

}  // namespace polariscope::experiments
