#include "polariscope/train/regression_history.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"
#include "polariscope/runs/collapse_detector.h"
#include "polariscope/tasks/in_context_regression.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

namespace polariscope::train {
namespace {

constexpr double kCollapsed = 0.05;  // of uniform rows' entropy, in the first layer: what the maps are chosen around

constexpr const char *kSteps = "history.steps", *kValues = "history.values", *kPeak = "history.peak",
                     *kPeakValues = "history.peak_values";

std::vector<float> watched_sequence(const RegressionOptions& o) {
  const tasks::InContextRegression task({.tokens = static_cast<int>(o.tokens)}, o.seed, tasks::Split::kEvaluation);
  std::vector<float> tokens(static_cast<std::size_t>(o.tokens * models::kTokenWidth)), answer(1);
  task.fill(0, 1, tokens, answer);
  return tokens;
}

double mean_of(std::span<const double> values) {
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

template <class T>
StoredTensor stored(const char* name, Dtype dtype, const std::vector<std::int64_t>& shape, std::span<const T> numbers) {
  return {.name = name, .dtype = dtype, .shape = shape, .bytes = std::as_bytes(numbers)};
}

// One field of a structured array, [records, width], filled record by record.
struct Column {
  std::string name;
  std::size_t width;
  std::vector<double> values;

  void add(std::span<const double> record) { values.insert(values.end(), record.begin(), record.end()); }
};

void write_columns(const std::filesystem::path& path, const std::vector<Column>& columns) {
  std::vector<NpyField> fields;
  for (const Column& column : columns) fields.push_back({column.name, column.width, column.values});
  write_file(path, npy_records(columns.front().values.size() / columns.front().width, fields));
}

}  // namespace

RegressionHistory::RegressionHistory(const RegressionOptions& options)
    : options_(options),
      model_(model_of(options)),
      sequence_(watched_sequence(options)),
      peak_{0.0, -std::numeric_limits<double>::infinity()} {}

void RegressionHistory::add(const RegressionRecord& record, std::span<const float> values) {
  const std::int64_t every = (options_.steps + kMostSteps - 1) / kMostSteps;
  if ((record.step - 1) % every == 0) {
    steps_.push_back(record.step);
    values_.insert(values_.end(), values.begin(), values.end());
  }
  double skewness = 0.0;
  for (const models::AttentionOnlyStatistics& layer : record.layers) {
    skewness += layer.skewness / static_cast<double>(record.layers.size());
  }
  if (!(skewness > peak_[1])) return;
  peak_ = {static_cast<double>(record.step), skewness};
  peak_values_.assign(values.begin(), values.end());
}

std::vector<StoredTensor> RegressionHistory::tensors() const {
  if (peak_values_.empty()) return {};
  const auto kept = static_cast<std::int64_t>(steps_.size());
  return {stored(kSteps, Dtype::kI64, {kept}, std::span(steps_)),
          stored(kValues, Dtype::kF32, {kept, model_.parameter_count()}, std::span(values_)),
          stored(kPeak, Dtype::kF64, {2}, std::span<const double>(peak_)),
          stored(kPeakValues, Dtype::kF32, {model_.parameter_count()}, std::span(peak_values_))};
}

void RegressionHistory::restore(const Safetensors& checkpoint) {
  const StoredTensor* steps = checkpoint.find(kSteps);
  if (steps == nullptr || steps->shape.size() != 1) return;
  const auto kept = static_cast<std::size_t>(steps->shape.front());
  const auto count = static_cast<std::size_t>(model_.parameter_count());
  steps_.resize(kept);
  values_.resize(kept * count);
  peak_values_.resize(count);
  const std::array<std::span<std::byte>, 4> to{
      std::as_writable_bytes(std::span(steps_)), std::as_writable_bytes(std::span(values_)),
      std::as_writable_bytes(std::span(peak_)), std::as_writable_bytes(std::span(peak_values_))};
  const std::vector<StoredTensor> like = tensors();
  for (std::size_t i = 0; i < to.size(); ++i) read_tensor(checkpoint, like[i], to[i]);
}

std::vector<models::AttentionOnlyMap> RegressionHistory::maps_of(std::span<const float> values) const {
  return model_.maps(values, sequence_);
}

std::span<const float> RegressionHistory::kept(std::size_t index) const {
  const auto count = static_cast<std::size_t>(model_.parameter_count());
  return std::span(values_).subspan(index * count, count);
}

// Indices of kMaps kept steps, or all. entropy: of the first layer, [kept]. Where it collapses: three before, the
// collapse, one half-way from there and the last; else evenly spread.
std::vector<std::size_t> RegressionHistory::steps_of_maps(std::span<const double> entropy) const {
  const std::size_t last = steps_.size() - 1;
  const double uniform = runs::map_shape(1, 1, static_cast<int>(options_.tokens), options_.causal).uniform_entropy;
  const auto found = std::ranges::find_if(entropy, [=](double H) { return H < kCollapsed * uniform; });
  const auto collapse = static_cast<std::size_t>(found - entropy.begin());
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < kMaps; ++i) {
    if (collapse > last) {
      chosen.push_back(i * last / (kMaps - 1));
    } else {
      chosen.push_back(i <= 3 ? i * collapse / 3 : collapse + (i - 3) * (last - collapse) / 2);
    }
  }
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

void RegressionHistory::write_rows_and_maps(const std::filesystem::path& folder) const {
  const auto tokens = static_cast<std::size_t>(options_.tokens), layers = static_cast<std::size_t>(options_.layers);
  std::vector<Column> rows{{"step", 1, {}}}, maps{{"step", 1, {}}};
  for (std::size_t l = 1; l <= layers; ++l) {
    rows.push_back({fmt::format("entropy_layer{}", l), tokens, {}});
    rows.push_back({fmt::format("logit_variance_layer{}", l), tokens, {}});
    maps.push_back({fmt::format("layer{}", l), tokens * tokens, {}});
  }
  std::vector<double> first_entropy;
  for (std::size_t index = 0; index < steps_.size(); ++index) {
    const std::vector<models::AttentionOnlyMap> found = maps_of(kept(index));
    rows[0].values.push_back(static_cast<double>(steps_[index]));
    for (std::size_t l = 0; l < layers; ++l) {
      rows[2 * l + 1].add(found[l].entropy);
      rows[2 * l + 2].add(found[l].logit_variance);
    }
    first_entropy.push_back(mean_of(found.front().entropy));
  }
  write_columns(folder / "rows.npy", rows);
  for (const std::size_t index : steps_of_maps(first_entropy)) {
    const std::vector<models::AttentionOnlyMap> found = maps_of(kept(index));
    maps[0].values.push_back(static_cast<double>(steps_[index]));
    for (std::size_t l = 0; l < layers; ++l) maps[l + 1].add(found[l].weights);
  }
  write_columns(folder / "maps.npy", maps);
}

void RegressionHistory::write_most_skewed(const std::filesystem::path& folder) const {
  std::vector<Column> layers;
  for (const models::AttentionOnlyMap& map : maps_of(peak_values_)) {
    layers.push_back(
        {fmt::format("layer{}", layers.size() + 1), static_cast<std::size_t>(options_.tokens), map.weights});
  }
  write_columns(folder / "most_skewed.npy", layers);
}

void RegressionHistory::write(const std::filesystem::path& folder) const {
  if (!steps_.empty()) write_rows_and_maps(folder);
  if (!peak_values_.empty()) write_most_skewed(folder);
}

}  // namespace polariscope::train
