// Counts per bin, binned here: a page never carries the values themselves.
#include "polariscope/base/error.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"
#include "polariscope/report/internal/vega.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::report {
namespace {

using namespace report;
using nlohmann::json;

struct Bins {
  std::vector<double> edges;   // [bins + 1]
  std::vector<double> counts;  // [bins]
  std::size_t outside = 0;     // values without a place on the axis
};

// Symlog axes get linear bins: no figure of ours counts on one.
Bins bins_of(const Histogram& histogram) {
  if (histogram.bins < 1) throw Error("histogram: {} bins: must be at least 1", histogram.bins);
  const bool log = histogram.x.scale == Scale::kLog;
  Range range(histogram.x.scale);
  range.add(histogram.values);
  Bins bins;
  bins.outside = static_cast<std::size_t>(
      std::ranges::count_if(histogram.values, [&](double value) { return !drawable(value, histogram.x.scale); }));
  if (range.empty()) return bins;

  double low = log ? std::log(range.low()) : range.low();
  double high = log ? std::log(range.high()) : range.high();
  if (!(high > low)) {
    const double margin = log || low == 0 ? 0.5 : 0.05 * std::abs(low);
    low -= margin;
    high += margin;
  }
  const auto count = static_cast<std::size_t>(histogram.bins);
  bins.counts.assign(count, 0.0);
  for (std::size_t i = 0; i <= count; ++i) {
    const double edge = std::lerp(low, high, static_cast<double>(i) / static_cast<double>(count));
    bins.edges.push_back(log ? std::exp(edge) : edge);
  }
  for (const double value : histogram.values) {
    if (!drawable(value, histogram.x.scale)) continue;
    const double share = ((log ? std::log(value) : value) / 2 - low / 2) / (high / 2 - low / 2);
    const auto bin = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(count));
    ++bins.counts[std::min(bin, count - 1)];
  }
  return bins;
}

}  // namespace

json histogram(const Histogram& histogram) {
  const Bins bins = bins_of(histogram);
  Range x_range(histogram.x.scale), y_range(Scale::kLinear);
  x_range.add(bins.edges);
  for (const ReferenceLine& mark : histogram.marks) x_range.add(mark.y);
  y_range.add(0.0);
  y_range.add(bins.counts);

  auto rows = json::array();
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    if (bins.counts[i] == 0) continue;
    rows.push_back({{"low", plotted(bins.edges[i])}, {"high", plotted(bins.edges[i + 1])}, {"count", bins.counts[i]}});
  }
  json y = position("count", {"count", Scale::kLinear}, y_range, false);
  auto layers = json::array();
  layers.push_back(
      {{"name", kMainLayer},
       {"mark", {{"type", "rect"}, {"color", palette_colour(0)}, {"opacity", 0.85}, {"clip", true}}},
       {"encoding",
        {{"x", position("low", histogram.x, x_range, true)},
         {"x2", {{"field", "high"}}},
         {"y", std::move(y)},
         {"y2", {{"datum", 0}}},
         {"tooltip",
          {tooltip_number("low", "from"), tooltip_number("high", "to"), tooltip_number("count", "count")}}}}});
  add_vertical_references(layers, histogram.marks, x_range);

  json spec = chart_frame();
  spec["height"] = 220;
  if (bins.outside > 0) {
    spec["title"] = {
        {"text", fmt::format("{} of {} values have no place on this axis", bins.outside, histogram.values.size())},
        {"anchor", "start"},
        {"fontWeight", "normal"}};
  }
  spec["data"] = {{"values", std::move(rows)}};
  spec["layer"] = std::move(layers);
  return spec;
}

Table table_of(const Histogram& histogram) {
  const Bins bins = bins_of(histogram);
  Table table;
  if (bins.counts.empty()) {
    table.columns = {{"from", std::vector<double>{}}, {"to", std::vector<double>{}}, {"count", std::vector<double>{}}};
    return table;
  }
  table.columns = {{"from", std::vector<double>(bins.edges.begin(), bins.edges.end() - 1)},
                   {"to", std::vector<double>(bins.edges.begin() + 1, bins.edges.end())},
                   {"count", bins.counts}};
  return table;
}

}  // namespace polariscope::report
