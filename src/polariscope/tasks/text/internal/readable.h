// Any bytes as a line that a person can read.
#pragma once

#include <string>
#include <string_view>

namespace polariscope::tasks::text {

// Sound UTF-8 without control characters: \n, \t, \r and \\ for those, \x00 … for the rest of them and for what is no
// UTF-8. Longer than 60 characters: cut, with "…".
std::string readable(std::string_view bytes);

}  // namespace polariscope::tasks::text
