// The command-line flags that a C++ file speaks of, read from its text.
#pragma once

#include <string>
#include <vector>

namespace polariscope::testing {

// Those within string literals, in order: "--out" of "see --out". Comments and directives are left out.
std::vector<std::string> flags_in_literals(const std::string& text);

}  // namespace polariscope::testing
