// The gradient flow itself, with error control: V' = -∂L/∂V, a' = -∂L/∂a.
#pragma once

#include "polariscope/flow/trajectory.h"

#include <functional>
#include <string_view>
#include <vector>

namespace polariscope::flow {

enum class Solver {
  kAuto,   // Adams for the logistic loss, whose flow slows down as t grows; BDF for the others, which are stiff
  kAdams,  // of variable order up to 5, functional iteration
  kBdf,    // of variable order up to 5, Newton iteration
};
Solver find_solver(std::string_view name);  // "auto", "adams", "bdf"; throws Error with the nearest known

struct FlowOptions {
  double until = 1e6;         // final time, in [1e-100, 1e299]
  std::vector<double> times;  // times to record, rising, from 0; empty: log_times(until, 200)
  double rtol = 1e-9;         // relative tolerance of the integrator, in [1e-13, 1e-2]
  double atol = 0.0;          // absolute tolerance; 0: rtol / 1000
  Solver solver = Solver::kAuto;
  bool events = true;  // find changes of order and of the winner
  bool singular_values = false;
  std::function<void(double t, const Trajectory&)> progress;  // called at every record
};

// Throws Error for a final time or a tolerance that makes no sense, or times to record that do not rise.
void validate(const FlowOptions& options);

// 0, then `count` times spaced evenly in logarithm from min(0.01, until/1000) to `until`.
std::vector<double> log_times(double until, int count);

// Integrated by SUNDIALS CVODE in t up to the first recorded time (or t = 1) and in τ = log t from there:
// dy/dτ = e^τ y', which takes about a thousand right-hand sides to t = 1e299 under logistic loss.
// A loss with a finite minimum ends as converged once the gradient has fallen by 1e-11 (by 1e-2 rtol if
// that is more); the remaining records repeat that state. Where steps shrink so that the end is out of reach, at a
// kink of the re-weighting that attracts from both sides or where all weights vanish, it ends as stuck. An event is
// found once the two tokens are apart by more than the tolerance. Throws Error for invalid options or problems and
// where the integrator cannot go on, Interrupted on Ctrl-C.
Trajectory integrate(const Problem& problem, const State& start, const FlowOptions& options);

}  // namespace polariscope::flow
