// A model of attention alone learning in-context regression: one step after another, each on a fresh batch.
#pragma once

#include "polariscope/tasks/in_context_regression.h"
#include "polariscope/train/checkpoint.h"
#include "polariscope/train/course.h"
#include "polariscope/train/regression_options.h"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace polariscope::train {

struct RegressionRecord {
  std::int64_t step = 0;  // counted from 1
  double loss = 0.0, gradient_norm = 0.0, update_norm = 0.0;
  std::vector<models::AttentionOnlyStatistics> layers;
};

class RegressionTrainer {
 public:
  // At step 0. Throws Error for options that make no sense. threads: 0 for one a processor; the same bits for any.
  explicit RegressionTrainer(const RegressionOptions& options, int threads = 1);

  const RegressionOptions& options() const { return options_; }
  std::int64_t step() const { return step_; }  // steps done
  // Whether the last step's loss or gradient was not finite. Its parameters then were left as they were.
  bool diverged() const { return diverged_; }
  // Of the last step that was finite: its record, step 0 before the first.
  const RegressionRecord& last_finite() const { return last_finite_; }

  // The next step; step() < options().steps and not diverged() must hold.
  RegressionRecord advance();

  // The state after the last finite step and, since that step is taken again when it is read back, the one before it:
  // a run goes on with the same bits and knows its last record. restore() throws Error for a checkpoint of another
  // model; `step` is its last finite step's.
  Checkpoint checkpoint() const;
  void restore(const Safetensors& checkpoint, std::int64_t step);
  // Of the steps to come, and of the one that restore() takes again.
  void set_course(const Course& course) { course_ = course; }
  // The parameters that the last finite step's loss is of, and what the optimiser began it with.
  Checkpoint before_last_finite() const;
  std::span<const float> values_before_last_finite() const { return before_.values; }

 private:
  // Of all parameters: b of SGD, or m and v of Adam, whose count of steps is step_.
  struct State {
    std::vector<float> values, first, second;
  };
  struct Part {
    std::string prefix;
    std::vector<float> State::*numbers;
  };
  std::vector<Part> parts() const;
  // Its tensors under the names of a file.
  std::vector<StoredTensor> tensors(const State& state, const char* prefix) const;
  void draw(std::int64_t first);
  // Returns ‖θ' - θ‖².
  double update();

  RegressionOptions options_;
  models::AttentionOnly<float> model_;
  tasks::InContextRegression task_;
  int threads_;
  State state_, before_;  // before_: of before the last finite step
  std::vector<float> gradient_, tokens_, answers_;
  Course course_;
  std::int64_t step_ = 0;
  bool diverged_ = false;
  RegressionRecord last_finite_;
};

}  // namespace polariscope::train
