// How large a head's logits can become by its weights alone: the cause beside the symptom.
#pragma once

#include "polariscope/models/pretrained/parameters.h"

#include <vector>

namespace polariscope::audit {

// scale · ‖W_Qᵀ W_K‖₂ of each head, before norms, biases and rotations: |z| <= it · ‖x_i‖ ‖x_j‖ without those.
// [layers][heads]; NaN where queries and keys come through low ranks (deepseek).
std::vector<std::vector<double>> query_key_norms(const models::PretrainedModel& model, int threads);

}  // namespace polariscope::audit
