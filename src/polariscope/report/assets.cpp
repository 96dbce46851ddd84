#include "polariscope/report/internal/assets.h"

#include "polariscope/base/embedded.h"
#include "polariscope/report/internal/base64.h"

// Written by CMake beside the assembled files: POLARISCOPE_HASH_page_js and the like, in hexadecimal.
#include <report_asset_hashes.h>

POLARISCOPE_EMBEDDED(polariscope_asset, page_html);
POLARISCOPE_EMBEDDED(polariscope_asset, page_css);
POLARISCOPE_EMBEDDED(polariscope_asset, page_js);
POLARISCOPE_EMBEDDED(polariscope_asset, charts_js);
POLARISCOPE_EMBEDDED(polariscope_asset, charts_licences);

namespace polariscope::report {
namespace {

int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// CMake gives SHA-256 in hexadecimal, a browser wants it in base 64.
std::string csp_source(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(hex_digit(hex[i]) << 4 | hex_digit(hex[i + 1]));
  }
  return "sha256-" + base64(bytes);
}

}  // namespace

std::string_view page_skeleton() { return embedded(polariscope_asset_page_html, polariscope_asset_page_html_end); }
std::string_view page_style() { return embedded(polariscope_asset_page_css, polariscope_asset_page_css_end); }
std::string_view page_script() { return embedded(polariscope_asset_page_js, polariscope_asset_page_js_end); }
std::string_view chart_scripts() { return embedded(polariscope_asset_charts_js, polariscope_asset_charts_js_end); }
std::string_view chart_licences() {
  return embedded(polariscope_asset_charts_licences, polariscope_asset_charts_licences_end);
}

std::string page_script_hash() { return csp_source(POLARISCOPE_HASH_page_js); }
std::string chart_scripts_hash() { return csp_source(POLARISCOPE_HASH_charts_js); }

}  // namespace polariscope::report
