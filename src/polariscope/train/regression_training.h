// In-context regression as the loop trains it.
#pragma once

#include "polariscope/train/regression_history.h"
#include "polariscope/train/regression_trainer.h"
#include "polariscope/train/trainable.h"

namespace polariscope::train {

class RegressionTraining final : public Trainable {
 public:
  // Throws Error for options that make no sense. threads: 0 for one a processor; the same bits for any.
  RegressionTraining(const RegressionOptions& options, int threads) : trainer_(options, threads), history_(options) {}

  runs::MapShape maps() const override;
  std::int64_t steps() const override { return trainer_.options().steps; }
  StepNumbers advance() override;
  Checkpoint checkpoint() const override;
  void restore(const Safetensors& checkpoint, std::int64_t step) override;
  void set_course(const Course& course) override { trainer_.set_course(course); }
  // The parameters that the last finite step's loss is of, and what the optimiser began it with.
  Checkpoint before_divergence() const override { return trainer_.before_last_finite(); }
  // Adds the last finite step's numbers and when rows were most skewed, flat and without what is not finite: a sweep
  // takes every name for a column. Leaves the history's files.
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override;

 private:
  RegressionTrainer trainer_;
  RegressionHistory history_;
};

}  // namespace polariscope::train
