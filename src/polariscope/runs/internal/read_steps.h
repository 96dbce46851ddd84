// The steps of a metrics.jsonl as JSON, one at a time, however long it is.
#pragma once

#include "polariscope/base/error.h"
#include "polariscope/base/line_reader.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string_view>

namespace polariscope::runs {

// Calls visit(step) with one whole line after another, until it returns false. What it throws for a line that is none
// of its own (json::exception), and a line that is no JSON, is an Error that names the line and what was `expected`.
template <class Visit>
void read_steps(const std::filesystem::path& metrics, std::string_view expected, const Visit& visit) {
  LineReader lines(metrics);
  while (const auto line = lines.next()) {
    try {
      if (!visit(nlohmann::json::parse(*line))) return;
    } catch (const nlohmann::json::exception&) {
      throw Error("{}, line {}: expected {}", metrics.string(), lines.lines(), expected);
    }
  }
}

}  // namespace polariscope::runs
