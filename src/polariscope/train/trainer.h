// A model being trained: one step after another, from where its checkpoint left it.
#pragma once

#include "polariscope/models/model.h"
#include "polariscope/train/checkpoint.h"
#include "polariscope/train/course.h"
#include "polariscope/train/monitor.h"
#include "polariscope/train/optimiser.h"
#include "polariscope/train/task_batches.h"
#include "polariscope/train/training_options.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace polariscope::train {

class Trainer {
 public:
  // At step 0. Throws Error for options that make no sense.
  explicit Trainer(const TrainingOptions& options);

  std::int64_t step() const { return step_; }    // steps done
  std::int64_t steps() const { return steps_; }  // of the whole run
  double loss() const { return loss_; }          // of the last step done; NaN before the first
  // The next step; step() < steps() must hold. The same numbers every time: same options, same threads, same bits. A
  // step whose loss or gradient is not finite is recorded, but not done: nothing has moved after it.
  StepRecord advance();

  // All that the next step depends on; restored, a trainer goes on with the same bits. restore() throws Error for a
  // checkpoint of another model.
  Checkpoint checkpoint() const;
  void restore(const Safetensors& checkpoint, std::int64_t step);
  void set_course(const Course& course) { course_ = course; }  // of the steps to come

  const TrainingOptions& options() const { return options_; }
  const TaskBatches& task() const { return *task_; }
  const models::Model& model() const { return *model_; }

 private:
  TrainingOptions options_;
  std::unique_ptr<TaskBatches> task_;
  std::unique_ptr<models::Model> model_;
  std::unique_ptr<Optimiser> optimiser_;
  Course course_;
  std::int64_t step_ = 0, steps_;
  double loss_ = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::int64_t> order_;  // of the epoch at hand
  std::int64_t epoch_ = -1;          // that order_ is of
};

}  // namespace polariscope::train
