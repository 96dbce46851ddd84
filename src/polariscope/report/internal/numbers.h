// Doubles in JSON: a report keeps NaN and infinities, which JSON numbers cannot.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace polariscope::report {

// Shortest text that reads back as the same double; "nan", "inf", "-inf".
std::string number_text(double number);

// A JSON number, or one of the three names above as a string.
nlohmann::json number_to_json(double number);
// Accepts what number_to_json writes, and null as NaN. Throws Error on anything else.
double number_from_json(const nlohmann::json& json);

// Seven significant digits: more than a screen can show, and half the bytes of a full double.
// Non-finite numbers become null, which Vega leaves out.
nlohmann::json plotted(double number);

}  // namespace polariscope::report
