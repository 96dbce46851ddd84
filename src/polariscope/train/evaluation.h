// What a trained model does on sequences that it has not seen, head by head.
#pragma once

#include "polariscope/metrics/mean.h"
#include "polariscope/models/model.h"
#include "polariscope/train/task_batches.h"
#include "polariscope/train/training_options.h"

#include <cstdint>
#include <vector>

namespace polariscope::train {

// Definitions: docs/metrics.md. Of attentions with negative weights entropy and sparsity are of |w|/Σ|w|.
struct HeadEvaluation {
  std::int64_t layer = 0, head = 0;
  metrics::Mean entropy, relative_entropy, frobenius_norm, row_sum, sparsity, maximum;
  metrics::Mean first_token_share;  // its clipped value is the sink score (polarisation paper, E.1)
  metrics::Mean first_token_ratio;  // the variant of the paper's public code
  metrics::Mean importance, sinks;  // Gu et al.: α and Sink^0.3 of the first token
  metrics::Mean flips;              // token groups: flip rate
  std::vector<double> map;          // [length, length], mean weights over the sequences
};

struct Evaluation {
  double loss = 0.0, accuracy = 0.0;
  std::int64_t length = 0;
  std::vector<HeadEvaluation> heads;  // layer by layer
};

// On the evaluation split of the options' task, of which one batch's weights of one layer are in memory at a time;
// options: completed().
Evaluation evaluate(const models::Model& model, const TaskBatches& task, const TrainingOptions& options);

}  // namespace polariscope::train
