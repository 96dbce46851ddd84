#include "polariscope/experiments/lipschitz/layer_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr int kColumns = 30;

report::HeatMap map_of(const RegressionRun& run, const LayerStatistic& statistic) {
  report::HeatMap map{.x = {"step"},
                      .y = {"layer"},
                      .value_title = statistic.title,
                      .columns = {},
                      .rows = {},
                      .values = {},
                      .low = statistic.low,
                      .high = statistic.high,
                      .outlined = {}};
  for (int layer = 0; layer < run.layers(); ++layer) {
    const Windows windows = windows_of(
        {run}, [&](const RegressionRun& of) { return of.log().layer(statistic.name, static_cast<std::size_t>(layer)); },
        kColumns);
    map.columns = windows.step;
    map.rows.push_back(layer + 1.0);
    std::vector<double>& row = map.values.emplace_back(windows.runs.front());
    if (statistic.logarithm) std::ranges::transform(row, row.begin(), [](double value) { return std::log10(value); });
  }
  return map;
}

}  // namespace

void add_layer_maps(report::Section& section, const std::vector<RunsOfVariant>& variants,
                    const LayerStatistic& statistic, std::string id, const std::string& title, std::string caption) {
  std::vector<std::pair<std::string, report::HeatMap>> maps;
  LayerStatistic scaled = statistic;
  for (const auto& [variant, runs] : variants) {
    if (runs.empty()) continue;
    const RegressionRun& run = runs.front();
    maps.emplace_back(
        fmt::format("{}{}", variant.name(), run.diverged() ? fmt::format(", ends at step {:g}", run.last_step()) : ""),
        map_of(run, statistic));
  }
  for (const auto& [name, map] : maps) {
    for (const std::vector<double>& row : map.values) {
      const Spread range = spread_of(row);
      if (range.runs == 0) continue;
      if (!statistic.low) scaled.low = std::min(scaled.low.value_or(range.low), range.low);
      if (!statistic.high) scaled.high = std::max(scaled.high.value_or(range.high), range.high);
    }
  }
  std::vector<Multiple> panels;
  for (auto& [name, map] : maps) {
    map.low = scaled.low;
    map.high = scaled.high;
    panels.push_back({.title = name, .spec = report::heat_map(map), .table = report::table_of(map)});
  }
  if (panels.empty()) return;
  section.figures.push_back(multiples_figure(
      {.id = std::move(id),
       .title = title,
       .caption = std::move(caption) +
                  " The first seed of each attention; all panels on one scale. Columns are single steps at "
                  "first, then windows that grow.",
       .alternative = title + ", layer against step, one panel an attention.",
       .columns = 2,
       .share_x = false},
      panels));
}

}  // namespace polariscope::experiments
