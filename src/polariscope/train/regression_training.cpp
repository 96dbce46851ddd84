#include "polariscope/train/regression_training.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {
namespace {

using Statistics = models::AttentionOnlyStatistics;

constexpr std::array kLayerNumbers{std::pair{"entropy", &Statistics::entropy},
                                   std::pair{"entropy_deviation", &Statistics::entropy_deviation},
                                   std::pair{"frobenius_norm", &Statistics::frobenius_norm},
                                   std::pair{"maximum", &Statistics::maximum},
                                   std::pair{"first_key", &Statistics::first_key},
                                   std::pair{"logit_variance", &Statistics::logit_variance},
                                   std::pair{"skewness", &Statistics::skewness},
                                   std::pair{"row_sum", &Statistics::row_sum},
                                   std::pair{"dead_rows", &Statistics::dead_rows}};

}  // namespace

runs::MapShape RegressionTraining::maps() const {
  const RegressionOptions& o = trainer_.options();
  return runs::map_shape(static_cast<int>(o.layers), 1, static_cast<int>(o.tokens), o.causal);
}

StepNumbers RegressionTraining::advance() {
  const RegressionRecord record = trainer_.advance();
  if (!trainer_.diverged()) history_.add(record, trainer_.values_before_last_finite());
  StepNumbers numbers{.step = record.step,
                      .loss = record.loss,
                      .gradient_norm = record.gradient_norm,
                      .update_norm = record.update_norm,
                      .heads = {}};
  for (const auto& [name, member] : kLayerNumbers) {
    std::vector<double> values;
    for (const Statistics& layer : record.layers) values.push_back(layer.*member);
    numbers.heads.push_back({name, std::move(values)});
  }
  return numbers;
}

Checkpoint RegressionTraining::checkpoint() const {
  Checkpoint checkpoint = trainer_.checkpoint();
  for (StoredTensor& one : history_.tensors()) checkpoint.tensors.push_back(std::move(one));
  return checkpoint;
}

void RegressionTraining::restore(const Safetensors& checkpoint, std::int64_t step) {
  trainer_.restore(checkpoint, step);
  history_ = RegressionHistory(trainer_.options());
  history_.restore(checkpoint);
}

std::string RegressionTraining::finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) {
  const RegressionRecord& last = trainer_.last_finite();
  const auto put = [&](const std::string& name, double value) {
    if (std::isfinite(value)) result[name] = value;
  };
  if (last.step > 0) {
    put("loss", last.loss);
    put("gradient_norm", last.gradient_norm);
    put("update_norm", last.update_norm);
  }
  for (const auto& [name, member] : kLayerNumbers) {
    for (std::size_t layer = 0; layer < last.layers.size(); ++layer) {
      put(fmt::format("{}_layer{}", name, layer + 1), last.layers[layer].*member);
    }
  }
  if (last.step > 0) {
    result["most_skewed_step"] = history_.most_skewed_step();
    put("largest_skewness", history_.largest_skewness());
  }
  history_.write(folder);
  return fmt::format("loss {:.4g}", last.loss);
}

}  // namespace polariscope::train
