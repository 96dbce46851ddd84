// One prediction that a single token turns over, told in full. Polarisation paper, figure 9.
#pragma once

#include "polariscope/models/model.h"
#include "polariscope/train/evaluation.h"
#include "polariscope/train/task_batches.h"

#include <string>

namespace polariscope::train {

// For the head with the largest flip rate: the first two evaluation sequences of different labels, both predicted
// rightly, of which the second is taken for the first's label once it holds the first's most attended token in the
// place of its own; or, where no pair of the first sixty-four sequences does so, the first two that are not. JSON with
// both sequences (tokens, label, CLS's attention), the mixed one (CLS's attention, probability of each label), the head
// and whether it flipped.
std::string flip_example(const models::Model& model, const TaskBatches& task, const Evaluation& evaluation);

}  // namespace polariscope::train
