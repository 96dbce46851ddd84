// Named series with bands; marks with shapes along each line, so that colour is not its only name.
#include "polariscope/base/error.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"
#include "polariscope/report/internal/vega.h"

#include <algorithm>
#include <cmath>

namespace polariscope::report {
namespace {

using namespace report;
using nlohmann::json;

constexpr std::size_t kMarksPerLine = 6;
constexpr std::size_t kShapes = 8;   // Vega has eight; a ninth line would repeat the first
constexpr int kAboveReference = 24;  // pixels from the plot to the legend: the topmost line has its name between

void check_shapes(const SeriesChart& chart) {
  for (const Series& series : chart.series) {
    if (series.y.size() != series.x.size()) {
      throw Error("series {}: y has {} points, x has {}: both must be equal", series.name, series.y.size(),
                  series.x.size());
    }
    if (series.low.size() != series.high.size() || (!series.low.empty() && series.low.size() != series.x.size())) {
      throw Error("series {}: the band has {} low and {} high points, x has {}: all must be equal, or no band",
                  series.name, series.low.size(), series.high.size(), series.x.size());
    }
  }
}

bool banded(const Series& series) { return !series.low.empty(); }

// Which rows also carry the series' shape: a few, evenly placed along the drawn points, and offset
// from series to series so that the shapes of close lines do not cover each other.
bool carries_shape(std::size_t place, std::size_t count, std::size_t series) {
  const std::size_t step = std::max<std::size_t>(1, count / kMarksPerLine);
  const std::size_t offset = (step / 2 + series * step / kMarksPerLine) % step;
  return place % step == offset;
}

struct Rows {
  json values = json::array();
  bool any_band = false, any_faint = false, any_line = false;
};

Rows rows_of(const SeriesChart& chart) {
  Rows rows;
  const std::size_t most = std::max<std::size_t>(16, kMostPoints / std::max<std::size_t>(1, chart.series.size()));
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const Series& series = chart.series[s];
    const bool line = chart.points && series.line;
    const auto kept = chart.points && !line ? thin_points(series.x, series.y, chart.x.scale, chart.y.scale, most)
                                            : thin(series.x, series.y, chart.x.scale, chart.y.scale, most);
    bool after_gap = false;
    for (std::size_t place = 0; place < kept.size(); ++place) {
      const std::size_t point = kept[place];
      const bool gap = !drawable(series.y[point], chart.y.scale);
      if (gap && after_gap) continue;
      after_gap = gap;
      json row = {{"x", plotted(series.x[point])},
                  {"y", gap ? json(nullptr) : plotted(series.y[point])},
                  {"series", series.name}};
      if (series.faint) row["faint"] = s;
      if (line) row["line"] = s;
      if (banded(series) && drawable(series.low[point], chart.y.scale) && drawable(series.high[point], chart.y.scale)) {
        row["low"] = plotted(series.low[point]);
        row["high"] = plotted(series.high[point]);
        rows.any_band = true;
      }
      if (!gap && !series.faint && carries_shape(place, kept.size(), s)) row["mark"] = 1;
      rows.any_faint |= series.faint;
      rows.any_line |= line;
      rows.values.push_back(std::move(row));
    }
  }
  return rows;
}

// Names, colours and dashes in the order given; a faint run takes the look of the series it names.
struct Looks {
  json names = json::array(), colours = json::array(), dashes = json::array();
  bool any_dashed = false;
};

Looks looks_of(const SeriesChart& chart) {
  Looks looks;
  for (const bool faint : {false, true}) {
    for (const Series& series : chart.series) {
      if (series.faint != faint || std::ranges::find(looks.names, json(series.name)) != looks.names.end()) continue;
      looks.colours.push_back(series.colour.empty() ? palette_colour(looks.names.size()) : series.colour);
      looks.names.push_back(series.name);
      looks.dashes.push_back(series.dashed ? json{7, 4} : json{1, 0});
      looks.any_dashed |= series.dashed;
    }
  }
  return looks;
}

std::size_t legend_entries(const SeriesChart& chart) {
  return static_cast<std::size_t>(std::ranges::count(chart.series, false, &Series::faint));
}

json named(const json& domain, const json& range, const json& legend) {
  return {
      {"field", "series"}, {"type", "nominal"}, {"scale", {{"domain", domain}, {"range", range}}}, {"legend", legend}};
}

json series_tooltip(const SeriesChart& chart, bool any_band) {
  json tooltip = json::array(
      {tooltip_text("series", "series"), tooltip_number("x", chart.x.title), tooltip_number("y", chart.y.title)});
  if (any_band) {
    tooltip.push_back(tooltip_number("low", "lowest"));
    tooltip.push_back(tooltip_number("high", "highest"));
  }
  return tooltip;
}

// A ▼ whose tip is at its point. Its colour is the mark's own: a channel would need a legend beside the lines'.
json mark_layer(const PointMark& mark, json x, json y) {
  auto values = json::array({{{"x", plotted(mark.x)}, {"y", plotted(mark.y)}, {"name", mark.name}}});
  return {{"data", {{"values", std::move(values)}}},
          {"mark",
           {{"type", "point"},
            {"shape", "triangle-down"},
            {"size", 130},
            {"filled", true},
            {"color", mark.colour},
            {"opacity", 1},
            {"yOffset", -7},
            {"clip", false}}},
          {"encoding",
           {{"x", std::move(x)},
            {"y", std::move(y)},
            {"tooltip", {tooltip_text("name", "▼"), tooltip_number("x", "at")}}}}};
}

}  // namespace

json series_chart(const SeriesChart& chart) {
  check_shapes(chart);
  Range x_range(chart.x.scale), y_range(chart.y.scale);
  for (const Series& series : chart.series) {
    x_range.add(series.x);
    y_range.add(series.y);
    y_range.add(series.low);
    y_range.add(series.high);
  }
  for (const ReferenceLine& reference : chart.references) y_range.add(reference.y);

  Rows rows = rows_of(chart);
  const Looks looks = looks_of(chart);
  const std::size_t entries = legend_entries(chart);
  json legend = nullptr;
  if (entries > 1) {
    legend = {{"title", nullptr}, {"orient", "top"}, {"direction", "horizontal"}, {"symbolOpacity", 1}};
    if (!chart.references.empty()) legend["offset"] = kAboveReference;
    if (looks.names.size() > entries) {
      for (std::size_t i = 0; i < entries; ++i) legend["values"].push_back(looks.names[i]);
    }
  }
  const json x = position("x", chart.x, x_range, !chart.points);
  const json y = position("y", chart.y, y_range, false);
  const json colour = named(looks.names, looks.colours, legend);

  auto layers = json::array();
  if (rows.any_band) {
    json low = y;
    low["field"] = "low";
    layers.push_back({{"transform", {{{"filter", "isValid(datum.low)"}}}},
                      {"mark", {{"type", "area"}, {"opacity", 0.18}, {"clip", true}, {"line", false}}},
                      {"encoding", {{"x", x}, {"y", low}, {"y2", {{"field", "high"}}}, {"color", colour}}}});
  }
  if (rows.any_faint) {
    layers.push_back({{"transform", {{{"filter", "isValid(datum.faint)"}}}},
                      {"mark", {{"type", "line"}, {"opacity", 0.35}, {"strokeWidth", 0.8}, {"clip", true}}},
                      {"encoding", {{"x", x}, {"y", y}, {"color", colour}, {"detail", {{"field", "faint"}}}}}});
  }
  if (!chart.points) {
    json encoding = {{"x", x}, {"y", y}, {"color", colour}};
    if (looks.any_dashed) encoding["strokeDash"] = named(looks.names, looks.dashes, legend);
    json lines = {{"name", kMainLayer},
                  {"mark", {{"type", "line"}, {"strokeWidth", 2.2}, {"clip", true}}},
                  {"encoding", encoding}};
    if (rows.any_faint) lines["transform"] = json::array({{{"filter", "!isValid(datum.faint)"}}});
    layers.push_back(std::move(lines));
  }
  if (chart.points || (entries > 1 && entries <= kShapes)) {
    json encoding = {{"x", x}, {"y", y}, {"color", colour}};
    encoding["shape"] = {
        {"field", "series"}, {"type", "nominal"}, {"scale", {{"domain", looks.names}}}, {"legend", legend}};
    json points = {
        {"mark",
         {{"type", "point"}, {"size", chart.points ? 36 : 46}, {"filled", true}, {"opacity", 0.9}, {"clip", false}}},
        {"encoding", encoding}};
    if (chart.points) points["name"] = kMainLayer;
    if (!chart.points) points["transform"] = json::array({{{"filter", "datum.mark === 1"}}});
    if (rows.any_line) points["transform"] = json::array({{{"filter", "!isValid(datum.line)"}}});
    layers.push_back(std::move(points));
  }
  if (rows.any_line) {
    layers.push_back({{"transform", {{{"filter", "isValid(datum.line)"}}}},
                      {"mark", {{"type", "line"}, {"strokeWidth", 2.2}, {"clip", true}}},
                      {"encoding", {{"x", x}, {"y", y}, {"color", colour}, {"detail", {{"field", "line"}}}}}});
  }
  for (const PointMark& mark : chart.marks) {
    const bool drawn = drawable(mark.x, chart.x.scale) && drawable(mark.y, chart.y.scale);
    if (drawn) layers.push_back(mark_layer(mark, x, y));
  }
  add_horizontal_references(layers, chart.references, chart.y.scale);
  layers.push_back(hover_layer({{"x", x}, {"y", y}, {"color", colour}}, series_tooltip(chart, rows.any_band)));

  json spec = chart_frame();
  spec["data"] = {{"values", std::move(rows.values)}};
  spec["layer"] = std::move(layers);
  return spec;
}

// Long form, because the series need not share their x.
Table table_of(const SeriesChart& chart) {
  check_shapes(chart);
  std::vector<std::string> names;
  std::vector<double> x, y, low, high;
  const bool any_band = std::ranges::any_of(chart.series, banded);
  for (const Series& series : chart.series) {
    names.insert(names.end(), series.x.size(), series.name);
    x.insert(x.end(), series.x.begin(), series.x.end());
    y.insert(y.end(), series.y.begin(), series.y.end());
    if (!any_band) continue;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      low.push_back(banded(series) ? series.low[i] : std::nan(""));
      high.push_back(banded(series) ? series.high[i] : std::nan(""));
    }
  }
  Table table;
  table.columns = {{"series", std::move(names)}, {chart.x.title, std::move(x)}, {chart.y.title, std::move(y)}};
  if (any_band) {
    table.columns.push_back({"lowest", std::move(low)});
    table.columns.push_back({"highest", std::move(high)});
  }
  return table;
}

}  // namespace polariscope::report
