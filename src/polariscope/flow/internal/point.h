// The loss and its gradient at one state, in plain doubles: what observations are made of, and the
// oracle that the SIMD kernels are tested against.
#pragma once

#include "polariscope/flow/problem.h"

#include <vector>

namespace polariscope::flow {

struct Point {
  double loss = 0.0;
  std::vector<double> sigma;     // p, [T, k]
  std::vector<double> gradient;  // g = ∂L/∂b, [T, d]; reduced model: the single number g_z a row
  double gradient_norm = 0.0;    // Σ_t ‖g_t‖
  State slope;                   // ∂L/∂(V, a, u): descent moves against it
};

// u of the reduced model descends in the metric that V's flow induces: slope.projections = g_z ‖β‖² p.
Point evaluate(const Problem& problem, const State& state);

// state + factor * direction, array by array.
State moved(const State& state, double factor, const State& direction);

}  // namespace polariscope::flow
