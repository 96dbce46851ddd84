#include "polariscope/experiments/lipschitz/sequence_records.h"

#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>

namespace polariscope::experiments {
namespace {

// "" where there is no such file.
std::string bytes_of(const RegressionRun& run, const char* name) {
  const std::filesystem::path path = run.trained().folder / name;
  return std::filesystem::exists(path) ? read_file(path) : std::string();
}

}  // namespace

RowRecords rows_of(const RegressionRun& run) {
  RowRecords rows;
  const std::string bytes = bytes_of(run, "rows.npy");
  for (int layer = 1; !bytes.empty() && layer <= run.layers(); ++layer) {
    rows.variance.push_back(npy_field(bytes, fmt::format("logit_variance_layer{}", layer)).values);
    rows.entropy.push_back(npy_field(bytes, fmt::format("entropy_layer{}", layer)).values);
  }
  return rows;
}

MapRecords first_layer_maps(const RegressionRun& run) {
  MapRecords records;
  const std::string bytes = bytes_of(run, "maps.npy");
  if (bytes.empty()) return records;
  records.step = npy_field(bytes, "step").values;
  const NpyValues maps = npy_field(bytes, "layer1");
  for (std::size_t i = 0; i < maps.rows; ++i) {
    const auto first = maps.values.begin() + static_cast<std::ptrdiff_t>(i * maps.width);
    records.maps.emplace_back(first, first + static_cast<std::ptrdiff_t>(maps.width));
  }
  return records;
}

std::vector<double> most_skewed_weights(const RegressionRun& run) {
  std::vector<double> weights;
  const std::string bytes = bytes_of(run, "most_skewed.npy");
  for (int layer = 1; !bytes.empty() && layer <= run.layers(); ++layer) {
    const NpyValues of_layer = npy_field(bytes, fmt::format("layer{}", layer));
    weights.insert(weights.end(), of_layer.values.begin(), of_layer.values.end());
  }
  return weights;
}

}  // namespace polariscope::experiments
