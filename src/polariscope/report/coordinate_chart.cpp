// One line per coordinate of a flow, coloured by the order of the initial values.
#include "polariscope/base/error.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"
#include "polariscope/report/internal/vega.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace polariscope::report {
namespace {

using namespace report;

void check_shapes(const CoordinateChart& chart) {
  for (std::size_t i = 0; i < chart.coordinates.size(); ++i) {
    if (chart.coordinates[i].size() != chart.time.size()) {
      throw Error("coordinate chart: coordinate {} has {} points, time has {}: both must be equal", i,
                  chart.coordinates[i].size(), chart.time.size());
    }
  }
  if (chart.initial.size() != chart.coordinates.size()) {
    throw Error("coordinate chart: {} initial values for {} coordinates: both must be equal", chart.initial.size(),
                chart.coordinates.size());
  }
  if (chart.winner < -1 || chart.winner >= static_cast<int>(chart.coordinates.size())) {
    throw Error("coordinate chart: winner {} of {} coordinates: must be -1 or one of them", chart.winner,
                chart.coordinates.size());
  }
}

// rank[i] = how many coordinates start above coordinate i; equal ones in the order given.
std::vector<std::size_t> ranks(const std::vector<double>& initial) {
  std::vector<std::size_t> order(initial.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return initial[a] > initial[b]; });
  std::vector<std::size_t> rank(initial.size());
  for (std::size_t place = 0; place < order.size(); ++place) rank[order[place]] = place;
  return rank;
}

nlohmann::json colour_channel(std::size_t count) {
  auto domain = nlohmann::json::array();
  for (std::size_t i = 0; i < count; ++i) domain.push_back(i);
  nlohmann::json channel = {{"field", "rank"},
                            {"type", "quantitative"},
                            {"scale", {{"domain", domain}, {"range", sequential_colours(count)}}},
                            {"legend", nullptr}};
  if (count > 1) {
    // A strip of all colours with a word at either end; of very many coordinates the two ends do.
    constexpr std::size_t kLongestStrip = 24;
    const auto ends = nlohmann::json::array({0, count - 1});
    const nlohmann::json& shown = count <= kLongestStrip ? domain : ends;
    channel["legend"] = {
        {"title", "initial value"},
        {"titleOrient", "left"},
        {"orient", "top"},
        {"direction", "horizontal"},
        {"values", shown},
        {"columns", shown.size()},
        {"columnPadding", 1},
        {"gridAlign", "each"},
        {"symbolType", "square"},
        {"labelExpr", fmt::format("datum.value == 0 ? 'largest ' : datum.value == {} ? 'smallest' : ''", count - 1)}};
  }
  return channel;
}

}  // namespace

nlohmann::json coordinate_chart(const CoordinateChart& chart) {
  check_shapes(chart);
  const std::size_t count = chart.coordinates.size();
  const auto rank = ranks(chart.initial);
  Range x_range(chart.x.scale), y_range(chart.y.scale);
  x_range.add(chart.time);
  for (const auto& coordinate : chart.coordinates) y_range.add(coordinate);
  for (const ReferenceLine& reference : chart.references) y_range.add(reference.y);

  // The winner's rows come last: a later line is drawn above an earlier one.
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (chart.winner >= 0) std::swap(order[static_cast<std::size_t>(chart.winner)], order.back());

  auto rows = nlohmann::json::array();
  auto label = nlohmann::json::array();
  const std::size_t most = std::max<std::size_t>(16, kMostPoints / std::max<std::size_t>(1, count));
  for (const std::size_t i : order) {
    const auto& values = chart.coordinates[i];
    bool after_gap = false;
    for (const std::size_t point : thin(chart.time, values, chart.x.scale, chart.y.scale, most)) {
      const bool gap = !drawable(values[point], chart.y.scale);
      if (gap && after_gap) continue;
      rows.push_back({{"t", plotted(chart.time[point])},
                      {"v", gap ? nlohmann::json(nullptr) : plotted(values[point])},
                      {"i", i},
                      {"rank", rank[i]}});
      if (static_cast<int>(i) == chart.winner && !gap) label = nlohmann::json::array({rows.back()});
      after_gap = gap;
    }
  }

  const nlohmann::json x = position("t", chart.x, x_range, true);
  const nlohmann::json y = position("v", chart.y, y_range, false);
  const nlohmann::json colour = colour_channel(count);
  nlohmann::json line_encoding = {{"x", x}, {"y", y}, {"color", colour}, {"detail", {{"field", "i"}}}};
  line_encoding["strokeWidth"] = {
      {"condition", {{"test", fmt::format("datum.i === {}", chart.winner)}, {"value", 3.5}}}, {"value", 1.7}};

  auto layers = nlohmann::json::array();
  layers.push_back({{"name", kMainLayer}, {"mark", {{"type", "line"}, {"clip", true}}}, {"encoding", line_encoding}});
  add_horizontal_references(layers, chart.references, chart.y.scale);
  layers.push_back(
      hover_layer({{"x", x}, {"y", y}, {"color", colour}},
                  nlohmann::json::array({tooltip_number("i", "coordinate i"), tooltip_number("t", chart.x.title),
                                         tooltip_number("v", chart.y.title)})));
  if (!label.empty()) {
    // Beside the end of its line, outside the plot, where no line can cross it.
    const auto text = nlohmann::json::array({"winner", fmt::format("i = {}", chart.winner)});
    layers.push_back({{"data", {{"values", label}}},
                      {"mark",
                       {{"type", "text"},
                        {"style", "winner-label"},
                        {"align", "left"},
                        {"baseline", "middle"},
                        {"dx", 6},
                        {"text", text},
                        {"clip", false}}},
                      {"encoding", {{"x", {{"value", "width"}}}, {"y", y}}}});
  }
  nlohmann::json spec = chart_frame();
  spec["data"] = {{"values", std::move(rows)}};
  spec["layer"] = std::move(layers);
  return spec;
}

Table table_of(const CoordinateChart& chart) {
  check_shapes(chart);
  Table table;
  table.columns.push_back({chart.x.title, chart.time});
  for (std::size_t i = 0; i < chart.coordinates.size(); ++i) {
    table.columns.push_back({fmt::format("coordinate {}", i), chart.coordinates[i]});
  }
  return table;
}

}  // namespace polariscope::report
