// What is recorded along a flow, and how a notebook gets it.
#pragma once

#include "polariscope/flow/problem.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::flow {

// Why a trajectory ended.
enum class Ending {
  kHorizon,    // all steps done, or the time asked for reached
  kConverged,  // the gradient vanished: nothing would move any more
  kStuck,      // the integrator's steps shrank to nothing, at a kink or a pole; the last record is where
  kDiverged,   // a number stopped being finite; the record ends before it
};
std::string_view ending_name(Ending ending);

// A change of which token leads, or of the order of two tokens, found by the integrator's root finder.
struct Event {
  double t = 0.0;
  int row = 0;     // which row of scores
  int risen = 0;   // token that now has the larger σ
  int fallen = 0;  // token that it passed
  bool winner = false;
};

// Records in order of time. Sizes: T rows, k tokens, n points; every vector below is [n] or [n, width].
struct Trajectory {
  Problem problem;
  Ending ending = Ending::kHorizon;
  State final_state;
  std::vector<Event> events;
  long long evaluations = 0;  // steps of descent, or right-hand sides of the integrator

  std::vector<double> t;                // step number times step size, or the flow's time
  std::vector<double> loss;             // summed over rows
  std::vector<double> scores;           // a, [n, T·k]
  std::vector<double> u;                // [n, k]
  std::vector<double> sigma;            // [n, T·k]
  std::vector<double> entropy;          // [n, T], nats; of p/Σp. NaN where a weight is negative
  std::vector<double> abs_entropy;      // [n, T], of |p|/Σ|p|
  std::vector<double> winner;           // [n, T], index of the largest σ
  std::vector<double> gradient_values;  // ‖∂L/∂V‖_F (or U; of u, reduced model: ‖∇L‖‖σ‖)
  std::vector<double> gradient_scores;  // ‖∂L/∂a‖
  std::vector<double> gradient_output;  // ‖∇L‖ = ‖∂L/∂b‖, summed over rows
  std::vector<double> loss_rate;        // dL/dt along the flow, by central difference
  std::vector<double> strength;         // ∫‖∇L‖ dt
  std::vector<double> orthogonal;  // ‖V - β(Vᵀβ)ᵀ/‖β‖²‖_F: what does not lie along β; 0 without a β
  std::vector<double> singular_values;  // of V, [n, min(d, k)], largest first; empty unless asked for
  std::vector<double> effective_rank;   // exp(entropy of the normalised singular values); likewise

  // No records yet.
  static Trajectory starting(Problem problem, State state);

  std::size_t points() const { return t.size(); }
  int row_width() const { return problem.rows * problem.tokens; }
  // One coordinate of a [n, width] record.
  static std::vector<double> column(const std::vector<double>& record, int width, int index);
};

// Appends what can be observed of a state at time t. Throws nothing; numbers that overflow stay so.
void observe(Trajectory& trajectory, const State& state, double t, double strength, bool singular_values);

// L(state), summed over rows. Never negative; the KL loss is the cross-entropy.
double loss_of(const Problem& problem, const State& state);

// Writes trajectory.npy (a structured array: numpy.load(path)["sigma"]) and trajectory.json (what it is).
void write_trajectory(const Trajectory& trajectory, const std::filesystem::path& folder, const nlohmann::json& what);

}  // namespace polariscope::flow
