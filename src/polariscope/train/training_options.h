// What a training run is: task, model, optimiser. Defaults are the polarisation paper's (protocol: docs/training.md).
#pragma once

#include "polariscope/runs/settings.h"

#include <cstdint>
#include <string>

namespace polariscope::train {

struct TrainingOptions {
  std::string task = "induction";  // or "token-groups"
  // The task. Zero: the task's own default.
  std::int64_t vocabulary = 0;          // 50 and 81
  std::int64_t sequence_length = 0;     // 13 and 10: induction's with its answer, token groups' without CLS
  bool shift_query_token = false;       // induction
  double auxiliary_loss = 0.2;          // induction: weight of the earlier positions
  std::int64_t training_sequences = 0;  // 100,000 and 10,000
  std::int64_t evaluation_sequences = 1000;
  // The model.
  std::string attention = "softmax";
  std::string positions = {};  // "concat" and "no"
  std::int64_t layers = 2, heads = 4, width = 128;
  bool mlp = true, layer_norm = true;
  // The optimiser.
  std::string optimiser = "adamw";  // or "adam", "sgd"
  double learning_rate = 1e-3, weight_decay = 0.01, momentum = 0.0;
  std::int64_t epochs = 10, batch = 256;
  std::uint64_t seed = 0;

  bool operator==(const TrainingOptions&) const = default;
};

TrainingOptions training_options(const runs::Settings& settings);

// With the task's defaults (runs/options.h) in the place of zeros. Throws Error for names and numbers that make no
// sense.
TrainingOptions completed(TrainingOptions options);

// Optimiser steps of a run; the last batch of an epoch may be smaller.
std::int64_t steps_per_epoch(const TrainingOptions& options);

}  // namespace polariscope::train
