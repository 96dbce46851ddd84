// Runs side by side under their names: a distribution that hides no run, or one bar for each.
#include "polariscope/base/error.h"
#include "polariscope/base/quantiles.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"
#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"
#include "polariscope/report/internal/vega.h"

#include <algorithm>
#include <map>
#include <set>

namespace polariscope::report {
namespace {

using namespace report;
using nlohmann::json;

constexpr int kRowHeight = 26;
constexpr std::size_t kMostDots = 60;  // of a row; more are thinned, evenly over their order
constexpr double kFarthest = 0.4;      // from the middle of its row to a dot; rows are 1 apart
constexpr double kBar = 0.34;          // half a bar's height, and half the mark's of a median

void check(const CategoryChart& chart) {
  std::set<std::string> names;
  for (const Category& category : chart.categories) {
    if (!names.insert(category.name).second) {
      throw Error("category chart: two categories are named \"{}\": names must differ", category.name);
    }
    if (chart.bars && category.values.size() > 1) {
      throw Error("category chart: \"{}\" has {} values: a bar has one", category.name, category.values.size());
    }
  }
}

// Dots that would cover each other stand above one another.
std::vector<double> offsets(const std::vector<double>& sorted, double width) {
  std::vector<double> offsets(sorted.size(), 0.0);
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] - sorted[begin] <= 0.02 * width) ++end;
    const double count = static_cast<double>(end - begin);
    const double step = std::min(0.2, 2 * kFarthest / count);
    for (std::size_t i = begin; i < end; ++i) offsets[i] = step * (static_cast<double>(i - begin) - 0.5 * (count - 1));
  }
  return offsets;
}

// What is drawn of the categories: a row a dot or bar, and one a category with median and range. `at` counts the
// categories from the top: a band would let no dot stand beside its middle.
json rows_of(const CategoryChart& chart, const Range& range) {
  auto rows = json::array();
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    const Category& category = chart.categories[c];
    std::vector<double> sorted;
    for (const double value : category.values) {
      if (drawable(value, chart.x.scale)) sorted.push_back(value);
    }
    if (sorted.empty()) continue;
    std::ranges::sort(sorted);
    const auto at = static_cast<double>(c);
    const std::vector<double> beside = offsets(sorted, range.high() - range.low());
    const std::size_t step = (sorted.size() + kMostDots - 1) / kMostDots;
    for (std::size_t i = 0; i < sorted.size(); i += step) {
      rows.push_back({{"name", category.name}, {"x", plotted(sorted[i])}, {"at", at + beside[i]}});
    }
    rows.push_back({{"name", category.name},
                    {"at", at},
                    {"above", at - kBar},
                    {"below", at + kBar},
                    {"median", plotted(median_of_sorted(sorted))},
                    {"low", plotted(sorted.front())},
                    {"high", plotted(sorted.back())},
                    {"runs", sorted.size()}});
  }
  return rows;
}

// Names along an axis of places.
json places(const json& names) {
  auto all = json::array();
  for (std::size_t i = 0; i < names.size(); ++i) all.push_back(i);
  const double end = static_cast<double>(names.size()) - 0.5;
  return {{"field", "at"},
          {"type", "quantitative"},
          {"title", nullptr},
          {"scale", {{"domain", {end, -0.5}}, {"nice", false}, {"zero", false}}},
          {"axis",
           {{"values", std::move(all)},
            {"labelExpr", names.dump() + "[datum.value]"},
            {"labelLimit", 220},
            {"domain", false},
            {"ticks", false}}}};
}

}  // namespace

json category_chart(const CategoryChart& chart) {
  check(chart);
  Range range(chart.x.scale);
  for (const Category& category : chart.categories) range.add(category.values);
  for (const ReferenceLine& reference : chart.references) range.add(reference.y);
  if (chart.low) range.add(*chart.low);
  if (chart.high) range.add(*chart.high);
  if (chart.bars) range.add(0.0);

  auto names = json::array(), colours = json::array();
  for (std::size_t i = 0; i < chart.categories.size(); ++i) {
    names.push_back(chart.categories[i].name);
    const std::string& colour = chart.categories[i].colour;
    colours.push_back(colour.empty() ? palette_colour(i) : colour);
  }
  const json y = places(names);
  const json colour = {
      {"field", "name"}, {"type", "nominal"}, {"scale", {{"domain", names}, {"range", colours}}}, {"legend", nullptr}};
  const json x = position("x", chart.x, range, false);
  const json tooltip =
      json::array({tooltip_text("name", "what"), tooltip_number(chart.bars ? "median" : "x", chart.x.title)});

  const auto along = [&](const char* field) {
    json place = x;
    place["field"] = field;
    return place;
  };
  json above = y;
  above["field"] = "above";
  const json with_spread = json::array({{{"filter", "isValid(datum.median)"}}});
  const json about =
      json::array({tooltip_text("name", "what"), tooltip_number("median", "median"), tooltip_number("low", "lowest"),
                   tooltip_number("high", "highest"), tooltip_number("runs", "runs")});

  auto layers = json::array();
  if (chart.bars) {
    layers.push_back({{"name", kMainLayer},
                      {"transform", with_spread},
                      {"mark", {{"type", "rect"}, {"opacity", 0.9}}},
                      {"encoding",
                       {{"x", along("median")},
                        {"x2", {{"datum", 0}}},
                        {"y", above},
                        {"y2", {{"field", "below"}}},
                        {"color", colour},
                        {"tooltip", tooltip}}}});
  } else {
    layers.push_back({{"transform", with_spread},
                      {"mark", {{"type", "rule"}, {"strokeWidth", 2}, {"opacity", 0.45}}},
                      {"encoding", {{"x", along("low")}, {"x2", {{"field", "high"}}}, {"y", y}, {"color", colour}}}});
    layers.push_back({{"transform", with_spread},
                      {"mark", {{"type", "rule"}, {"strokeWidth", 3}}},
                      {"encoding",
                       {{"x", along("median")},
                        {"y", above},
                        {"y2", {{"field", "below"}}},
                        {"color", colour},
                        {"tooltip", about}}}});
    layers.push_back({{"name", kMainLayer},
                      {"transform", {{{"filter", "isValid(datum.x)"}}}},
                      {"mark", {{"type", "circle"}, {"size", 46}, {"opacity", 0.65}}},
                      {"encoding", {{"x", x}, {"y", y}, {"color", colour}, {"tooltip", tooltip}}}});
  }
  add_vertical_references(layers, chart.references, range);

  json spec = chart_frame();
  spec["height"] = std::max<int>(90, kRowHeight * static_cast<int>(chart.categories.size()));
  spec["data"] = {{"values", rows_of(chart, range)}};
  spec["layer"] = std::move(layers);
  return spec;
}

Table table_of(const CategoryChart& chart) {
  check(chart);
  std::vector<std::string> names;
  std::vector<double> values;
  for (const Category& category : chart.categories) {
    names.insert(names.end(), category.values.size(), category.name);
    values.insert(values.end(), category.values.begin(), category.values.end());
  }
  Table table;
  table.columns = {{"name", std::move(names)}, {chart.x.title, std::move(values)}};
  return table;
}

}  // namespace polariscope::report
