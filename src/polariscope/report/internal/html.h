// Text into HTML, safely: ids, statements and captions may hold anything.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polariscope::report {

// For element content and for attributes in double quotes.
std::string escape(std::string_view text);

// The same, with numbers kept on one line: browsers break them after a minus, as in 5e-10.
std::string escape_with_numbers(std::string_view text);

// An id for `id="..."` and `href="#..."`: `prefix` + the text, where every byte but letters, digits,
// '.' and '-' becomes _hh. Different texts give different anchors.
std::string anchor(std::string_view prefix, std::string_view text);

// JSON for a <script type="application/json">: no '<' survives, so neither "</script" nor "<!--" can
// end or hide the element. Bytes that are not UTF-8 become U+FFFD.
std::string script_json(const nlohmann::json& json);

// 4.2 s, 3 min 12 s, 2 h 5 min.
std::string duration(double seconds);

// Replaces each {{name}} of the skeleton in one pass: what is filled in is never read again.
std::string fill(std::string_view skeleton, const std::vector<std::pair<std::string_view, std::string>>& slots);

}  // namespace polariscope::report
