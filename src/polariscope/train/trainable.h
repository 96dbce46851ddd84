// What the loop (train/run.h) needs to know of a training. One implementation for each kind.
#pragma once

#include "polariscope/runs/collapse_detector.h"
#include "polariscope/train/checkpoint.h"
#include "polariscope/train/course.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::train {

// A number of every head, [layers, heads] row-major.
struct HeadNumbers {
  std::string_view name;
  std::vector<double> values;
};

// What a step was. A line of metrics.jsonl has loss, norms and `heads` in this order, under these names; alarms watch
// "entropy", "frobenius_norm" and "logit_variance" of every head (runs/collapse_detector.h), which must be among them.
struct StepNumbers {
  std::int64_t step = 0;  // counted from 1
  double loss = 0.0, gradient_norm = 0.0, update_norm = 0.0;
  std::vector<HeadNumbers> heads;
};

class Trainable {
 public:
  virtual ~Trainable() = default;

  virtual runs::MapShape maps() const = 0;    // its layers, heads and rows
  virtual std::int64_t steps() const = 0;     // of the whole run
  virtual StepNumbers advance() = 0;          // the next step
  virtual Checkpoint checkpoint() const = 0;  // all that the next step depends on
  // Goes on with the same bits after `step` steps, from whatever step it is at. Throws Error for the checkpoint of
  // another training.
  virtual void restore(const Safetensors& checkpoint, std::int64_t step) = 0;
  // From now on, and where restore() takes a step again, a step is of the batch course.batch(step) and has
  // course.rate(step) of its scheduled learning rate. Throws Error where a kind of training has not learned this: it
  // cannot be rescued.
  virtual void set_course(const Course& course);

  // A step whose loss or gradient is not finite ends the run and must leave the parameters as they were. These are the
  // ones to keep then.
  virtual Checkpoint before_divergence() const { return checkpoint(); }

  // What is told of a step on the terminal while the training goes on.
  virtual std::string note(const StepNumbers& numbers) const;

  // Logs of its own in the run's folder: opened before the first step, those behind the checkpoint's step cut off, and
  // on the disk when flush_logs() returns. Opened again after a rescue.
  virtual void open_logs(const std::filesystem::path& folder) { static_cast<void>(folder); }
  virtual void flush_logs() {}

  // After the last step: leaves files of its own and adds its numbers to the result, which says already how the run
  // ended (`diverged`, …). Returns the number that matters, "accuracy 0.99".
  virtual std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) = 0;
};

}  // namespace polariscope::train
