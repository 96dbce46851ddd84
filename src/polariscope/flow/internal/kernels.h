// The flow's kernels, chosen for the processor at run time.
#pragma once

#include "polariscope/flow/internal/field_arrays.h"

#include <cstdint>
#include <string>

namespace polariscope::flow {

// Numbers in a SIMD vector on this processor: tokens a packet, or trajectories a block.
int simd_lanes();
// Name of the instruction set in use: "AVX3", "AVX2", "SCALAR".
std::string simd_target();

// `count` steps of gradient descent, V and a updated together from the same point.
void descend_along_tokens(const FieldViews& field, double step, std::int64_t count);
void descend_across_trajectories(const FieldViews& field, double step, std::int64_t count);

// Evaluates g, p and the score gradient at the current state, all scaled by e^log_scale, without
// moving it. The logistic loss's scale is taken as one exponential, so log_scale may reach 700.
// Returns ‖∇L‖ e^log_scale.
double evaluate_along_tokens(const FieldViews& field, double log_scale);

}  // namespace polariscope::flow
