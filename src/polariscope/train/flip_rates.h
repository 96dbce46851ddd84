// Flip rates over an evaluation set that passes by in batches: of each head they need CLS's attention in a thousand
// sequences at most, however many there are.
#pragma once

#include "polariscope/metrics/flip_rate.h"
#include "polariscope/models/model.h"
#include "polariscope/train/task_batches.h"
#include "polariscope/train/training_options.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace polariscope::train {

class FlipRates {
 public:
  // Draws the pairs among the options' evaluation sequences. options: completed(), of a task whose targets are labels,
  // [batch].
  FlipRates(const TaskBatches& task, const TrainingOptions& options);

  // What is kept of the batch that begins at evaluation sequence `first`.
  void add(std::int64_t first, const Batch& batch);
  void add_layer(std::int64_t first, std::int64_t layer, const at::Tensor& weights);  // float32 [batch, heads, T, T]

  // [heads], once all batches have passed by.
  std::vector<metrics::Mean> of_layer(std::int64_t layer, const models::Model& model) const;

 private:
  at::Tensor drawn(std::int64_t first, std::int64_t count) const;

  std::vector<std::int64_t> sequences_;   // that are in a pair, rising
  std::vector<metrics::FlipPair> pairs_;  // of places in sequences_
  std::vector<at::Tensor> tokens_, labels_;
  std::vector<std::vector<at::Tensor>> cls_rows_;  // layer by layer, [sequences, heads, 1, T] of each batch
};

}  // namespace polariscope::train
