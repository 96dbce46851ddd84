// In-context regression as the loop trains it.
#pragma once

#include "polariscope/train/regression_trainer.h"
#include "polariscope/train/trainable.h"

namespace polariscope::train {

class RegressionTraining final : public Trainable {
 public:
  // Throws Error for options that make no sense. threads: 0 for one a processor; the same bits for any.
  RegressionTraining(const RegressionOptions& options, int threads) : trainer_(options, threads) {}

  runs::MapShape maps() const override;
  std::int64_t steps() const override { return trainer_.options().steps; }
  StepNumbers advance() override;
  Checkpoint checkpoint() const override { return trainer_.checkpoint(); }
  void restore(const Safetensors& checkpoint, std::int64_t step) override { trainer_.restore(checkpoint, step); }
  // The parameters that the last finite step's loss is of, and the velocity it began with.
  Checkpoint before_divergence() const override { return trainer_.before_last_finite(); }
  // Adds the last finite step's numbers, flat and without what is not finite: a sweep takes every name for a column.
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override;

 private:
  RegressionTrainer trainer_;
};

}  // namespace polariscope::train
