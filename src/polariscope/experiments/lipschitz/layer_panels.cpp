#include "polariscope/experiments/lipschitz/layer_panels.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::experiments {

int layers_of(const std::vector<RunsOfVariant>& variants) {
  int layers = 0;
  for (const auto& [variant, runs] : variants) {
    for (const RegressionRun& run : runs) layers = std::max(layers, run.layers());
  }
  return layers;
}

std::vector<Multiple> layer_panels(const std::vector<RunsOfVariant>& variants, const char* statistic,
                                   const report::Axis& y, const std::vector<report::ReferenceLine>& references,
                                   double most) {
  std::vector<Multiple> panels;
  for (int layer = 0; layer < std::max(1, layers_of(variants)); ++layer) {
    report::SeriesChart chart =
        chart_of_variants(variants, y, capped_layer(statistic, static_cast<std::size_t>(layer), most), false, layer);
    chart.references = references;
    panels.push_back(panel(fmt::format("layer {}", layer + 1), chart));
  }
  return panels;
}

}  // namespace polariscope::experiments
