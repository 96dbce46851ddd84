// A task as a model meets it: batches of tokens, what the right answers are, how far off it was.
#pragma once

#include "polariscope/models/model.h"
#include "polariscope/tasks/split.h"
#include "polariscope/train/training_options.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>

namespace polariscope::train {

struct Batch {
  at::Tensor tokens;   // int64 [batch, length]
  at::Tensor targets;  // int64, as the task's loss takes them
};

class TaskBatches {
 public:
  // options: completed(). Throws Error for a task that cannot be made so.
  static std::unique_ptr<TaskBatches> make(const TrainingOptions& options);
  virtual ~TaskBatches() = default;

  // The model's part that the task decides: vocabulary, outputs, longest sequence, mask.
  virtual void fit(models::ModelShape& model) const = 0;
  virtual std::int64_t length() const = 0;  // tokens of an example
  // The examples of these numbers.
  virtual Batch batch(tasks::Split split, std::span<const std::int64_t> examples) const = 0;
  virtual at::Tensor loss(const at::Tensor& logits, const at::Tensor& targets) const = 0;
  // The fraction of examples whose answer, the one at the last position, is the most likely one.
  virtual double accuracy(const at::Tensor& logits, const at::Tensor& targets) const = 0;
};

// Numbers [0, count) in an order that only seed and epoch decide.
std::vector<std::int64_t> shuffled(std::int64_t count, std::uint64_t seed, std::int64_t epoch);

}  // namespace polariscope::train
