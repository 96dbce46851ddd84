// Files that CMake put into the binary: the page's skeleton, style and scripts.
#pragma once

#include <string>
#include <string_view>

namespace polariscope::report {

std::string_view page_skeleton();  // HTML with {{slots}}
std::string_view page_style();
std::string_view page_script();     // ours
std::string_view chart_scripts();   // Vega, Vega-Lite and Vega-Embed, one after the other
std::string_view chart_licences();  // their licence texts

// "sha256-..." of each script as a Content-Security-Policy source: the browser runs these two
// scripts and no other, whatever text found its way into the page.
std::string page_script_hash();
std::string chart_scripts_hash();

}  // namespace polariscope::report
