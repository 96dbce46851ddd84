// Files of the page that CMake put into the program.
#pragma once

#include <string_view>

namespace polariscope::live {

std::string_view watch_page();
std::string_view watch_style();
std::string_view watch_script();

}  // namespace polariscope::live
