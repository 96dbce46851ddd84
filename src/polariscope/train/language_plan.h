// What the training of a language model would take, before it is done: parameters, memory, tokens and time. Nothing of
// the whole model is allocated: steps of its first one and two layers are measured and multiplied.
#pragma once

#include "polariscope/runs/settings.h"

#include <cstdint>
#include <string>

namespace polariscope::train {

// Bytes.
struct MemoryPlan {
  double weights = 0.0, gradients = 0.0, moments = 0.0;  // moments: what the optimiser keeps
  double activations = 0.0;  // what the layers keep for the way back, of all sequences that are taken at once
  double logits = 0.0;       // the block of them that is there at once

  double all() const { return weights + gradients + moments + activations + logits; }
};

// One step of the first layers of a model over some sequences.
struct MeasuredStep {
  double pass = 0.0, update = 0.0;  // seconds, forward and back, and of the optimiser
  double bytes = 0.0;               // the most at once, beside weights, gradients and moments
};

struct LanguagePlan {
  std::string optimiser;
  std::int64_t parameters = 0, layers = 0, context = 0, batch = 0, accumulation = 1, steps = 0;
  std::int64_t vocabulary = 0, embedding_width = 0;
  bool has_data = false;        // else the vocabulary is the model's own
  std::int64_t untrained = 0;   // numbers beside the parameters that are kept with them
  std::int64_t moments = 2;     // that the optimiser keeps of each parameter
  std::int64_t logit_rows = 0;  // that the loss has at once, at most
  std::int64_t measured_sequences = 0;
  MeasuredStep one_layer = {}, two_layers = {};

  double tokens() const;                        // of all steps
  double seconds_of_step() const;               // from what was measured
  MemoryPlan memory(std::int64_t parts) const;  // of a batch that is taken in so many
};

// On the threads that LibTorch has. A data folder that is not there is none. Throws Error for options that make no
// sense, and for layers that do not fit this machine.
LanguagePlan plan_language(const runs::Settings& settings);

// For a terminal; several lines. present: this machine's memory in bytes; threads: that it was measured on.
std::string in_words(const LanguagePlan& plan, double present, int threads);

}  // namespace polariscope::train
