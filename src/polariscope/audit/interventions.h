// What it costs the model to take something away, by its loss: nats per token over the texts.
#pragma once

#include "polariscope/audit/audit.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace polariscope::audit {

// Of one forward pass that was meddled with.
struct Intervention {
  std::int64_t layer = -1, head = -1;  // -1: all of them
  double nll = 0.0;                    // NaN where nothing is predicted
};

struct InterventionCosts {
  // Of the model as it is; NaN where an interrupt came before.
  double nll = std::numeric_limits<double>::quiet_NaN();
  std::vector<Intervention> sinks;  // p_0 v_0 of the first key that a row sees is left out: of all layers, then of each
  std::vector<Intervention> heads;  // a head gives zeros: one by one, where they were asked for
};

struct InterventionOptions {
  bool heads = false;
  int threads = 0;          // 0: one a processor
  std::int64_t memory = 0;  // AuditOptions::memory
  std::function<void(double share)> progress;
};

// Takes 2 + layers (+ heads) forward passes; of interrupted ones what was done. Throws Error as audit().
InterventionCosts intervention_costs(const models::PretrainedModel& model, Texts texts,
                                     const InterventionOptions& options);

}  // namespace polariscope::audit
