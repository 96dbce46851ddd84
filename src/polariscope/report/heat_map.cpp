// Cells of one sequential scale; a missing value is an empty cell with a cross.
#include "polariscope/base/error.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"
#include "polariscope/report/internal/vega.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace polariscope::report {
namespace {

using namespace report;
using nlohmann::json;

// With more cells than this the gaps between them would take more ink than the cells.
constexpr std::size_t kMostCellsWithGaps = 500;

// Square cells get smaller where there are more than fit into their map's side.
constexpr int kLargestSquare = 44;
constexpr int kSmallestSquare = 4;

constexpr int kSlanted = -60;  // degrees: words along a narrow axis

// Stands out on every colour of viridis, which has no red.
constexpr const char* kOutline = "#ff4b2b";

void check_shapes(const HeatMap& map) {
  if (map.values.size() != map.rows.size()) {
    throw Error("heat map: {} rows of values for {} row labels: both must be equal", map.values.size(),
                map.rows.size());
  }
  const auto check_names = [](const std::vector<std::string>& names, std::size_t count, const char* what) {
    if (names.empty()) return;
    if (names.size() != count) {
      throw Error("heat map: {} names for {} {}: both must be equal", names.size(), count, what);
    }
    if (std::set<std::string>(names.begin(), names.end()).size() != count) {
      throw Error("heat map: two {} have one name: names must differ", what);
    }
  };
  check_names(map.column_names, map.columns.size(), "columns");
  check_names(map.row_names, map.rows.size(), "rows");
  for (std::size_t row = 0; row < map.values.size(); ++row) {
    if (map.values[row].size() != map.columns.size()) {
      throw Error("heat map: row {} has {} values for {} column labels: both must be equal", row,
                  map.values[row].size(), map.columns.size());
    }
  }
}

// As few digits as keep the labels apart: cells with one label would be drawn over each other.
std::vector<std::string> labels(const std::vector<double>& centres) {
  for (int digits = 3; digits < 17; ++digits) {
    std::vector<std::string> texts;
    for (const double centre : centres) texts.push_back(fmt::format("{:.{}g}", centre, digits));
    if (std::set<std::string>(texts.begin(), texts.end()).size() == centres.size()) return texts;
  }
  throw Error("heat map: two cells share the same centre: centres must differ");
}

json band(const std::string& field, const std::string& title, const std::vector<std::string>& domain, int angle) {
  return {{"field", field},
          {"type", "ordinal"},
          {"title", title},
          {"scale", {{"domain", domain}}},
          {"axis",
           {{"labelOverlap", "greedy"}, {"labelAngle", angle}, {"grid", false}, {"domain", false}, {"ticks", false}}}};
}

json cell(const json& x, const json& y, const json& tooltip) { return {{"x", x}, {"y", y}, {"tooltip", tooltip}}; }

}  // namespace

json heat_map(const HeatMap& map) {
  check_shapes(map);
  const auto columns = map.column_names.empty() ? labels(map.columns) : map.column_names;
  const auto rows = map.row_names.empty() ? labels(map.rows) : map.row_names;
  auto from_the_top = rows;
  if (!map.downwards) std::ranges::reverse(from_the_top);
  const std::set<std::pair<int, int>> outlined(map.outlined.begin(), map.outlined.end());

  Range range(Scale::kLinear);
  auto cells = json::array();
  bool any_missing = false;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const double value = map.values[r][c];
      range.add(value);
      any_missing |= !std::isfinite(value) && !map.unmarked;
      json one = {{"x", columns[c]}, {"y", rows[r]}, {"value", plotted(value)}};
      if (outlined.contains({static_cast<int>(r), static_cast<int>(c)})) one["outlined"] = 1;
      cells.push_back(std::move(one));
    }
  }
  double low = map.low.value_or(range.empty() ? 0.0 : range.low());
  double high = map.high.value_or(range.empty() ? 1.0 : range.high());
  // One value everywhere still needs a scale with two ends.
  if (!(high > low)) {
    const double margin = low == 0 ? 0.5 : 0.1 * std::abs(low);
    low -= margin;
    high = low + 2 * margin;
  }

  const json x = band("x", map.x.title, columns, map.column_names.empty() ? 0 : kSlanted);
  const json y = band("y", map.y.title, from_the_top, 0);
  const json tooltip = json::array(
      {tooltip_text("x", map.x.title), tooltip_text("y", map.y.title), tooltip_number("value", map.value_title)});
  json filled = cell(x, y, tooltip);
  filled["color"] = {{"field", "value"},
                     {"type", "quantitative"},
                     {"title", map.value_title},
                     {"scale", {{"scheme", "viridis"}, {"domain", {low, high}}, {"clamp", true}}},
                     {"legend", {{"orient", "top"}, {"direction", "horizontal"}, {"gradientThickness", 8}}}};
  json rectangle = {{"type", "rect"}};
  if (cells.size() <= kMostCellsWithGaps) rectangle["style"] = "cell-value";
  auto layers = json::array();
  layers.push_back(
      {{"transform", {{{"filter", "isValid(datum.value)"}}}}, {"mark", rectangle}, {"encoding", std::move(filled)}});
  if (any_missing) {
    layers.push_back({{"transform", {{{"filter", "!isValid(datum.value)"}}}},
                      {"mark", {{"type", "text"}, {"style", "missing"}, {"text", "×"}}},
                      {"encoding", cell(x, y, tooltip)}});
  }
  if (!outlined.empty()) {
    layers.push_back({{"transform", {{{"filter", "datum.outlined === 1"}}}},
                      {"mark", {{"type", "rect"}, {"filled", false}, {"stroke", kOutline}, {"strokeWidth", 2.5}}},
                      {"encoding", cell(x, y, tooltip)}});
  }
  json spec = chart_frame();
  if (map.square) {
    const int cells_across = static_cast<int>(std::max({rows.size(), columns.size(), std::size_t{1}}));
    spec["width"] = spec["height"] = {{"step", std::clamp(map.side / cells_across, kSmallestSquare, kLargestSquare)}};
  } else {
    spec["height"] = std::clamp(static_cast<int>(rows.size()) * 26, 130, 420);
  }
  spec["data"] = {{"values", std::move(cells)}};
  spec["layer"] = std::move(layers);
  return spec;
}

Table table_of(const HeatMap& map) {
  check_shapes(map);
  const auto column_of = [&](const std::vector<double>& centres, const std::vector<std::string>& names, bool rows) {
    std::vector<double> numbers;
    std::vector<std::string> words;
    for (std::size_t r = 0; r < map.rows.size(); ++r) {
      for (std::size_t c = 0; c < map.columns.size(); ++c) {
        const std::size_t i = rows ? r : c;
        if (names.empty()) {
          numbers.push_back(centres[i]);
        } else {
          words.push_back(names[i]);
        }
      }
    }
    return names.empty() ? Column{"", std::move(numbers)} : Column{"", std::move(words)};
  };
  Column x = column_of(map.columns, map.column_names, false), y = column_of(map.rows, map.row_names, true);
  x.name = map.x.title;
  y.name = map.y.title;
  std::vector<double> values;
  for (const std::vector<double>& row : map.values) values.insert(values.end(), row.begin(), row.end());
  Table table;
  table.columns = {std::move(x), std::move(y), {map.value_title, std::move(values)}};
  return table;
}

}  // namespace polariscope::report
