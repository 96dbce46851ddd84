// A model and its optimiser in a checkpoint.
#pragma once

#include "polariscope/models/model.h"
#include "polariscope/train/checkpoint.h"
#include "polariscope/train/optimiser.h"

namespace polariscope::train {

// Every parameter by its name, and "optimiser." with each name of its state.
void store(const models::Model& model, const Optimiser& optimiser, Checkpoint& checkpoint);
// Throws Error for a checkpoint of another model or optimiser.
void restore_from(const Safetensors& checkpoint, models::Model& model, Optimiser& optimiser);

}  // namespace polariscope::train
