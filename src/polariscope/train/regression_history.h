// What a training of in-context regression keeps of its steps to look at afterwards: a few hundred parameters a step
// are all that its attention depends on, so maps and rows are computed from them when the training ends.
#pragma once

#include "polariscope/models/attention_only.h"
#include "polariscope/train/checkpoint.h"
#include "polariscope/train/regression_options.h"
#include "polariscope/train/regression_trainer.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace polariscope::train {

class RegressionHistory {
 public:
  static constexpr std::int64_t kMostSteps = 256;  // that are kept, evenly spread from the first one on
  static constexpr std::int64_t kMaps = 6;

  explicit RegressionHistory(const RegressionOptions& options);

  // A step that was finite, in order; values: the parameters that its numbers are of.
  void add(const RegressionRecord& record, std::span<const float> values);

  // The step whose skewness, the mean over layers, was the largest so far; 0 before the first.
  std::int64_t most_skewed_step() const { return static_cast<std::int64_t>(peak_[0]); }
  double largest_skewness() const { return peak_[1]; }

  // For the checkpoint, and from it: of one that keeps none the history begins there. restore() throws Error for the
  // checkpoint of another model.
  std::vector<StoredTensor> tensors() const;
  void restore(const Safetensors& checkpoint);

  // Of one unseen sequence, the first of the evaluation split: rows.npy, maps.npy and most_skewed.npy in `folder`
  // (docs/training.md). Writes none before the first step.
  void write(const std::filesystem::path& folder) const;

 private:
  std::vector<models::AttentionOnlyMap> maps_of(std::span<const float> values) const;
  std::span<const float> kept(std::size_t index) const;
  std::vector<std::size_t> steps_of_maps(std::span<const double> entropy) const;
  void write_rows_and_maps(const std::filesystem::path& folder) const;
  void write_most_skewed(const std::filesystem::path& folder) const;

  RegressionOptions options_;
  models::AttentionOnly<float> model_;
  std::vector<float> sequence_;      // [N, 4]
  std::vector<std::int64_t> steps_;  // [kept]
  std::vector<float> values_;        // [kept, parameters]
  std::array<double, 2> peak_;       // step and skewness
  std::vector<float> peak_values_;   // [parameters]
};

}  // namespace polariscope::train
