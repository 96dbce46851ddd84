// A figure as a plain value: a Vega-Lite specification and the full numbers behind it.
#pragma once

#include "polariscope/report/table.h"

#include <string>

namespace polariscope::report {

struct Figure {
  std::string id;           // unique within its section: "sigma"
  std::string title;        // "σ(a) against time"
  std::string caption;      // what to see, not what is drawn
  std::string alternative;  // what a reader who cannot see it should know
  nlohmann::json spec;      // Vega-Lite; its data is thinned, the table keeps all
  Table table;              // downloadable as CSV
};

void to_json(nlohmann::json& json, const Figure& figure);
void from_json(const nlohmann::json& json, Figure& figure);

}  // namespace polariscope::report
