// The few kinds of figure that the papers' plots are made of, as Vega-Lite specifications.
//
// Every chart takes the full data: it is thinned here (about 2000 points a chart) and table_of()
// keeps all of it. Numbers without a place on an axis (NaN, infinities, on a logarithmic axis also
// zero and below) are left out and interrupt the line. Shapes that disagree throw Error.
#pragma once

#include "polariscope/report/figure.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::report {

enum class Scale { kLinear, kLog, kSymlog };

struct Axis {
  std::string title;  // with symbol and unit: "attention entropy H (nats)"
  Scale scale = Scale::kLinear;
  bool whole = false;  // whole numbers, layers say: no mark between two
};

// A named horizontal line: log N, one-hot, a threshold, a theory's value.
struct ReferenceLine {
  std::string name;
  double y = 0.0;
};

// One line per coordinate of a flow. Colour follows the order of `initial` (largest first) on a
// perceptually even sequential scale; the coordinate `winner` is thick and labelled at its end.
// Coordinates are counted from 0, as in a trajectory's arrays.
struct CoordinateChart {
  Axis x, y;
  std::vector<double> time;                      // [points]
  std::vector<std::vector<double>> coordinates;  // [coordinates][points]
  std::vector<double> initial;                   // [coordinates], what the colours are ordered by
  int winner = -1;                               // -1: none
  std::vector<ReferenceLine> references;
};
nlohmann::json coordinate_chart(const CoordinateChart& chart);

// Named series, each with its own points; a series with low/high gets a band under its line.
struct Series {
  std::string name;
  std::vector<double> x, y;
  std::vector<double> low, high;  // empty: no band
  std::string colour;             // "" takes the next of the palette; see colours.h
  bool dashed = false;
  bool faint = false;  // a single run behind its median: thin, pale, not in the legend
  bool line = false;   // among points: a law, drawn through them
};
// A ▼ that stands on a point of the chart, with its name on hover.
struct PointMark {
  std::string name;
  double x = 0.0, y = 0.0;
  std::string colour;
};
struct SeriesChart {
  Axis x, y;
  std::vector<Series> series;
  std::vector<ReferenceLine> references;
  bool points = false;  // marks without lines (scatter)
  std::vector<PointMark> marks = {};
};
nlohmann::json series_chart(const SeriesChart& chart);

// A map over two categories or numbers, one sequential scale, the value on hover.
struct HeatMap {
  Axis x, y;
  std::string value_title;
  std::vector<double> columns, rows;          // cell centres, as ordinal labels
  std::vector<std::vector<double>> values;    // [rows][columns], NaN is drawn as ×
  std::optional<double> low, high;            // ends of the colour scale; default: of the data
  std::vector<std::pair<int, int>> outlined;  // (row, column) of cells to point out: worst heads
  bool square = false;     // square cells: for axes of one meaning, where the diagonal says something
  int side = 400;          // of a square map in pixels, about
  bool downwards = false;  // row 0 is highest, as in a matrix; else lowest
  bool unmarked = false;   // NaN is an empty cell, where there is nothing to miss
  // In place of the centres, where they are given; each differs from the others.
  std::vector<std::string> column_names = {}, row_names = {};
};
nlohmann::json heat_map(const HeatMap& map);

// Counts per bin.
struct Histogram {
  Axis x;
  std::vector<double> values;
  int bins = 40;
  std::vector<ReferenceLine> marks;  // named vertical lines at x = y of the reference
};
nlohmann::json histogram(const Histogram& histogram);

// Named rows; in each a dot for every run, a tick at their median and a line over their range, or one bar.
struct Category {
  std::string name;
  std::vector<double> values;
  std::string colour = "";  // "" takes the next of the palette
};
struct CategoryChart {
  Axis x;
  std::vector<Category> categories;       // from the top
  std::optional<double> low, high;        // what the axis reaches at least
  std::vector<ReferenceLine> references;  // named upright lines at x = y of the reference
  bool bars = false;
};
nlohmann::json category_chart(const CategoryChart& chart);

// Small multiples side by side, wrapping; panels that share the x axis can be brushed together. Panels whose
// colours mean the same share a legend, others keep their own.
struct Panel {
  std::string title;
  nlohmann::json spec;
};
nlohmann::json panels(std::span<const Panel> panels, int columns, bool share_x = false);

// The same charts as full tables, for Figure::table.
Table table_of(const CoordinateChart& chart);
Table table_of(const SeriesChart& chart);
Table table_of(const HeatMap& map);
Table table_of(const Histogram& histogram);
Table table_of(const CategoryChart& chart);

}  // namespace polariscope::report
