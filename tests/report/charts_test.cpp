#include "polariscope/report/charts.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace polariscope {
namespace {

using nlohmann::json;

const double kNan = std::nan("");
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The first layer whose mark is of this type.
json layer_of(const json& spec, const std::string& mark) {
  for (const json& layer : spec.at("layer")) {
    if (layer.at("mark").at("type") == mark) return layer;
  }
  return nullptr;
}

report::CoordinateChart three_coordinates(std::size_t points) {
  report::CoordinateChart chart;
  chart.x = {"time t", report::Scale::kLog};
  chart.y = {"σ", report::Scale::kLog};
  chart.coordinates.resize(3);
  for (std::size_t i = 0; i < points; ++i) {
    chart.time.push_back(std::pow(10.0, 299.0 * static_cast<double>(i) / static_cast<double>(points - 1)));
    for (int c = 0; c < 3; ++c) chart.coordinates[static_cast<std::size_t>(c)].push_back(0.1 * (c + 1));
  }
  chart.initial = {0.2, 0.9, 0.5};
  chart.winner = 1;
  return chart;
}

TEST(CoordinateChart, RanksByInitialValueAndDrawsTheWinnerLast) {
  const json spec = report::coordinate_chart(three_coordinates(10));
  const json& rows = spec.at("data").at("values");
  std::set<std::pair<int, int>> ranks;
  for (const json& row : rows) ranks.emplace(row.at("i").get<int>(), row.at("rank").get<int>());
  EXPECT_EQ(ranks, (std::set<std::pair<int, int>>{{0, 2}, {1, 0}, {2, 1}}));
  EXPECT_EQ(rows.back().at("i"), 1);
  EXPECT_EQ(layer_of(spec, "text").at("mark").at("text").at(1), "i = 1");
}

TEST(CoordinateChart, ReachesTenToThe299WithPowersAsLabels) {
  const json x = layer_of(report::coordinate_chart(three_coordinates(50)), "line").at("encoding").at("x");
  EXPECT_EQ(x.at("scale").at("type"), "log");
  EXPECT_EQ(x.at("scale").at("domain").at(1).get<double>(), 1e299);
  EXPECT_NE(x.at("axis").at("labelExpr").get<std::string>().find("⁹"), std::string::npos);
  EXPECT_EQ(x.at("axis").at("tickOpacity").at("value"), 0) << "minor ticks are off";
}

TEST(CoordinateChart, IsThinnedWhileItsTableIsNot) {
  const report::CoordinateChart chart = three_coordinates(100000);
  EXPECT_LE(report::coordinate_chart(chart).at("data").at("values").size(), 2100u);
  EXPECT_EQ(report::table_of(chart).rows(), 100000u);
  EXPECT_EQ(report::table_of(chart).columns.size(), 4u);
}

TEST(CoordinateChart, DropsWhatHasNoPlaceOnTheAxis) {
  report::CoordinateChart chart = three_coordinates(4);
  chart.time[0] = 0;
  chart.coordinates[0] = {1, kNan, -1, kInfinity};
  const json spec = report::coordinate_chart(chart);
  for (const json& row : spec.at("data").at("values")) {
    EXPECT_GT(row.at("t").get<double>(), 0);
    EXPECT_EQ(row.at("v").is_null(), row.at("i") == 0);
  }
}

TEST(CoordinateChart, RefusesShapesThatDisagree) {
  report::CoordinateChart chart = three_coordinates(4);
  chart.coordinates[1].pop_back();
  EXPECT_THROW(report::coordinate_chart(chart), Error);
  chart = three_coordinates(4);
  chart.initial.pop_back();
  EXPECT_THROW(report::coordinate_chart(chart), Error);
  chart = three_coordinates(4);
  chart.winner = 3;
  EXPECT_THROW(report::coordinate_chart(chart), Error);
}

TEST(SeriesChart, HasBandsDashesShapesAndNamedReferences) {
  report::SeriesChart chart;
  chart.x = {"t"};
  chart.y = {"H (nats)"};
  chart.series = {{"softmax", {1, 2}, {1, 2}, {0.5, 1.5}, {1.5, 2.5}, "#d7263d", false},
                  {"sigmoid", {1, 2}, {2, 1}, {}, {}, "", true}};
  chart.references = {{"log N", 2.0}, {"nowhere", kNan}};
  const json spec = report::series_chart(chart);
  EXPECT_FALSE(layer_of(spec, "area").is_null());
  const json line = layer_of(spec, "line").at("encoding");
  EXPECT_EQ(line.at("color").at("scale").at("range").at(0), "#d7263d");
  EXPECT_EQ(line.at("strokeDash").at("scale").at("range"), json::parse("[[1,0],[7,4]]"));
  EXPECT_EQ(layer_of(spec, "rule").at("data").at("values").size(), 1u);
  EXPECT_TRUE(layer_of(spec, "point").at("encoding").contains("shape"));
}

TEST(SeriesChart, OfFaintRunsNamesOnlyTheirMedian) {
  report::SeriesChart chart;
  for (int run = 0; run < 5; ++run) chart.series.push_back({"run", {1, 2}, {1, 2}, {}, {}, "", false, true});
  chart.series.push_back({"median", {1, 2}, {1, 2}, {}, {}, "", false});
  chart.series.push_back({"theory", {1, 2}, {1, 2}, {}, {}, "", true});
  const json legend = layer_of(report::series_chart(chart), "point").at("encoding").at("color").at("legend");
  EXPECT_EQ(legend.at("values"), json::parse(R"(["median", "theory"])"));
}

TEST(SeriesChart, StandsATriangleOnEachMarkThatHasAPlaceWithoutALegendOfItsOwn) {
  report::SeriesChart chart{.x = {"step"}, .y = {"Var", report::Scale::kLog}, .series = {}, .references = {}};
  for (const char* name : {"one", "two"}) {
    chart.series.push_back({.name = name, .x = {1, 2, 3}, .y = {1, 10, 100}, .low = {}, .high = {}, .colour = ""});
  }
  chart.marks = {{"one: collapse", 2.0, 10.0, "#123456"}, {"two: nowhere", 2.0, kNan, "#654321"}};
  const json spec = report::series_chart(chart);
  int triangles = 0;
  for (const json& layer : spec.at("layer")) {
    if (layer.at("mark").value("shape", "") != "triangle-down") continue;
    ++triangles;
    EXPECT_EQ(layer.at("mark").at("color"), "#123456");
    EXPECT_EQ(layer.at("data").at("values").at(0).at("name"), "one: collapse");
    EXPECT_FALSE(layer.at("encoding").contains("color"));
  }
  EXPECT_EQ(triangles, 1);
}

TEST(SeriesChart, DrawsALawAmongPointsAsALine) {
  report::SeriesChart chart{.x = {"Var"}, .y = {"H"}, .series = {}, .references = {}, .points = true};
  chart.series.push_back({.name = "rows", .x = {1, 2}, .y = {3, 4}, .low = {}, .high = {}, .colour = ""});
  EXPECT_TRUE(layer_of(report::series_chart(chart), "line").is_null());
  chart.series.push_back({.name = "law", .x = {1, 2}, .y = {3, 4}, .low = {}, .high = {}, .colour = "", .line = true});
  const json spec = report::series_chart(chart);
  EXPECT_EQ(layer_of(spec, "line").at("transform").at(0).at("filter"), "isValid(datum.line)");
  EXPECT_EQ(layer_of(spec, "point").at("transform").at(0).at("filter"), "!isValid(datum.line)");
}

TEST(SeriesChart, WithNothingToDrawHasAxesNevertheless) {
  report::SeriesChart chart;
  chart.x = {"x", report::Scale::kLog};
  chart.y = {"y", report::Scale::kLog};
  chart.series = {{"a", {kNan, -1}, {1, 2}, {}, {}, "", false}};
  const json spec = report::series_chart(chart);
  EXPECT_TRUE(spec.at("data").at("values").empty());
  EXPECT_EQ(layer_of(spec, "line").at("encoding").at("x").at("scale").at("domain"), json::parse("[1.0, 10.0]"));
}

TEST(SeriesChart, RefusesABandOfAnotherLength) {
  report::SeriesChart chart;
  chart.series = {{"a", {1, 2}, {1, 2}, {1}, {1}, "", false}};
  EXPECT_THROW(report::series_chart(chart), Error);
  chart.series = {{"a", {1, 2}, {1}, {}, {}, "", false}};
  EXPECT_THROW(report::table_of(chart), Error);
}

TEST(HeatMap, KeepsLabelsApartAndMarksTheMissing) {
  report::HeatMap map;
  map.columns = {0.1234561, 0.1234562};
  map.rows = {1, 2};
  map.values = {{1, 2}, {kNan, 4}};
  map.outlined = {{0, 1}};
  const json spec = report::heat_map(map);
  const json& cells = spec.at("data").at("values");
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_NE(cells[0].at("x"), cells[1].at("x"));
  EXPECT_TRUE(cells[2].at("value").is_null());
  EXPECT_EQ(cells[1].at("outlined"), 1);
  EXPECT_EQ(layer_of(spec, "text").at("mark").at("text"), "×");
  map.rows = {1, 1};
  EXPECT_THROW(report::heat_map(map), Error);
}

TEST(HeatMap, OfOneValueHasAScaleWithTwoEnds) {
  report::HeatMap map;
  map.columns = map.rows = {0};
  map.values = {{0}};
  const json domain = layer_of(report::heat_map(map), "rect").at("encoding").at("color").at("scale").at("domain");
  EXPECT_LT(domain.at(0).get<double>(), domain.at(1).get<double>());
}

TEST(HeatMap, HasSquareCellsWhereAskedForInAPanelToo) {
  report::HeatMap map;
  map.columns = {1, 2, 3};
  map.rows = {1, 2};
  map.values = {{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(report::heat_map(map).at("width"), "container");
  map.square = true;
  const json alone = report::heat_map(map);
  EXPECT_GT(alone.at("width").at("step"), 0);
  EXPECT_EQ(alone.at("width"), alone.at("height"));
  const json panel = report::panels(std::vector<report::Panel>{{"map", alone}}, 1).at("concat").at(0);
  EXPECT_EQ(panel.at("width"), alone.at("width"));
  EXPECT_EQ(panel.at("height"), alone.at("height"));
}

TEST(HeatMap, HasNamesInPlaceOfNumbersFromTheTop) {
  report::HeatMap map;
  map.columns = map.rows = {0, 1};
  map.values = {{1, kNan}, {0.5, 0.5}};
  map.column_names = map.row_names = {"the", "end"};
  map.downwards = map.unmarked = true;
  const json spec = report::heat_map(map);
  const json encoding = layer_of(spec, "rect").at("encoding");
  EXPECT_EQ(encoding.at("y").at("scale").at("domain"), json::array({"the", "end"}));
  EXPECT_EQ(spec.at("data").at("values").at(1).at("x"), "end");
  EXPECT_EQ(spec.at("layer").size(), 1u);  // nothing marks the empty cell
  const report::Table table = report::table_of(map);
  EXPECT_EQ(std::get<std::vector<std::string>>(table.columns[1].values),
            (std::vector<std::string>{"the", "the", "end", "end"}));
  map.row_names = {"end", "end"};
  EXPECT_THROW(report::heat_map(map), Error);
  map.row_names = {"end"};
  EXPECT_THROW(report::heat_map(map), Error);
}

TEST(Histogram, CountsEveryDrawableValueOnceAndNamesTheRest) {
  report::Histogram histogram_of;
  histogram_of.x = {"margin", report::Scale::kLog};
  histogram_of.bins = 7;
  histogram_of.values = {1e-300, 1, 1e300, 2, -1, 0, kNan, kInfinity};
  histogram_of.marks = {{"tolerance", 1e-9}};
  const json spec = report::histogram(histogram_of);
  double total = 0;
  for (const json& bin : spec.at("data").at("values")) total += bin.at("count").get<double>();
  EXPECT_EQ(total, 4);
  EXPECT_NE(spec.at("title").at("text").get<std::string>().find("4 of 8"), std::string::npos);
  EXPECT_EQ(report::table_of(histogram_of).rows(), 7u);
  histogram_of.bins = 0;
  EXPECT_THROW(report::histogram(histogram_of), Error);
}

TEST(Histogram, OfNoValuesIsEmpty) {
  report::Histogram empty;
  empty.x = {"x"};
  EXPECT_TRUE(report::histogram(empty).at("data").at("values").empty());
  EXPECT_EQ(report::table_of(empty).rows(), 0u);
}

TEST(Panels, ShareOneZoomAndOneLegend) {
  const json chart = report::coordinate_chart(three_coordinates(10));
  const std::vector<report::Panel> two = {{"left", chart}, {"right", chart}};
  const json spec = report::panels(two, 2, true);
  ASSERT_EQ(spec.at("concat").size(), 2u);
  EXPECT_EQ(spec.at("params").at(0).at("views"), json::parse(R"(["main_0", "main_1"])"));
  EXPECT_EQ(spec.at("resolve").at("scale").at("color"), "shared");
  EXPECT_EQ(spec.at("concat").at(1).at("title").at("text"), "right");
  // Each panel's hover is its own.
  EXPECT_NE(spec.dump().find("\"hover_0\""), std::string::npos);
  EXPECT_NE(spec.dump().find("\"hover_1\""), std::string::npos);
  EXPECT_EQ(spec.dump().find("\"hover\""), std::string::npos);
  EXPECT_FALSE(report::panels(two, 2).contains("params"));
}

TEST(Panels, OfDifferentNumbersOfTokensKeepTheirOwnColours) {
  const report::CoordinateChart three = three_coordinates(10);
  report::CoordinateChart two = three;
  two.coordinates.pop_back();
  two.initial.pop_back();
  const auto colours = [](const json& spec) {
    return layer_of(spec, "line").at("encoding").at("color").at("scale").at("range");
  };
  const json spec = report::panels(
      std::vector<report::Panel>{{"three", report::coordinate_chart(three)}, {"two", report::coordinate_chart(two)}},
      2);
  EXPECT_EQ(spec.at("resolve").at("scale").at("color"), "independent");
  for (const auto& panel : spec.at("concat"))
    EXPECT_EQ(colours(panel).front(), colours(report::coordinate_chart(three)).front());
  EXPECT_NE(colours(spec.at("concat").at(0)), colours(spec.at("concat").at(1)));
}

TEST(Panels, OfNothingAreRefused) {
  EXPECT_THROW(report::panels({}, 2), Error);
  EXPECT_THROW(report::panels(std::vector<report::Panel>{{"a", json::object()}}, 0), Error);
}

TEST(CategoryChart, DrawsEveryRunTheMedianAndTheRange) {
  const report::CategoryChart chart{.x = {"score"},
                                    .categories = {{"softmax", {0.5, 0.5, 0.9, kNan}}, {"none", {}}},
                                    .low = 0.0,
                                    .high = 1.0,
                                    .references = {{"threshold", 0.9}}};
  const json spec = report::category_chart(chart);
  std::vector<double> drawn, beside;
  json summary;
  for (const json& row : spec.at("data").at("values")) {
    if (row.contains("median")) summary = row;
    if (!row.contains("x")) continue;
    drawn.push_back(row.at("x"));
    beside.push_back(row.at("at"));
  }
  EXPECT_EQ(drawn, (std::vector<double>{0.5, 0.5, 0.9}));
  EXPECT_NE(beside[0], beside[1]) << "two equal runs are two dots";
  EXPECT_EQ(beside[2], 0.0);
  EXPECT_EQ(summary.at("median"), 0.5);
  EXPECT_EQ(summary.at("high"), 0.9);
  EXPECT_EQ(summary.at("runs"), 3);
  const json y = layer_of(spec, "circle").at("encoding").at("y");
  EXPECT_EQ(y.at("axis").at("values").size(), 2U) << "a category without runs keeps its row";
  EXPECT_EQ(report::table_of(chart).rows(), 4U);
}

TEST(CategoryChart, OnASymmetricLogarithmIsLinearBelowTheSmallestNumberOnly) {
  report::CategoryChart chart;
  chart.x = {"steps before the loss", report::Scale::kSymlog};
  chart.categories = {{.name = "whole numbers", .values = {-80, 0, 1, 200}, .colour = ""}};
  const auto constant = [&] {
    return layer_of(report::category_chart(chart), "circle").at("encoding").at("x").at("scale").at("constant");
  };
  EXPECT_EQ(constant(), 1.0);
  chart.categories[0].values.push_back(1e-30);
  EXPECT_EQ(constant(), 1e-4) << "six decades";
  chart.categories[0].values = {0.0};
  EXPECT_GT(constant(), 0.0);
}

TEST(CategoryChart, HasOneBarACategoryAndNamesThatDiffer) {
  report::CategoryChart bars{.x = {"probability"},
                             .categories = {{"a", {0.25}}, {"b", {0.75}}},
                             .low = {},
                             .high = {},
                             .references = {},
                             .bars = true};
  EXPECT_FALSE(layer_of(report::category_chart(bars), "rect").is_null());
  bars.categories[0].values.push_back(0.5);
  EXPECT_THROW(report::category_chart(bars), Error);
  bars.categories = {{"a", {1.0}}, {"a", {2.0}}};
  EXPECT_THROW(report::category_chart(bars), Error);
}

}  // namespace
}  // namespace polariscope
