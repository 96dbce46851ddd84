#include "polariscope/live/internal/assets.h"

#include "polariscope/base/embedded.h"

POLARISCOPE_EMBEDDED(polariscope_live, watch_html);
POLARISCOPE_EMBEDDED(polariscope_live, watch_css);
POLARISCOPE_EMBEDDED(polariscope_live, watch_js);

namespace polariscope::live {

std::string_view watch_page() { return embedded(polariscope_live_watch_html, polariscope_live_watch_html_end); }
std::string_view watch_style() { return embedded(polariscope_live_watch_css, polariscope_live_watch_css_end); }
std::string_view watch_script() { return embedded(polariscope_live_watch_js, polariscope_live_watch_js_end); }

}  // namespace polariscope::live
