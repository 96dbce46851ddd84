// The arrays of one trajectory, or of one block of W trajectories, as the kernels want them.
#pragma once

#include "polariscope/flow/problem.h"

#include <hwy/aligned_allocator.h>

#include <cstdint>
#include <vector>

namespace polariscope::flow {

// How a kernel lays out its arrays.
enum class Packing {
  kAlongTokens,         // one trajectory, vectors padded with zeros to whole packets
  kAcrossTrajectories,  // W trajectories, W numbers an element
};

// Views into one aligned allocation. Names follow the docs: b = Vp, g = ∂L/∂b, h = ∂L/∂p.
struct FieldViews {
  Model model;
  Loss loss;
  int reweighting;  // index in the table
  int outputs, tokens, rows, samples;
  int stride;         // elements from one row of V, a, p or da to the next
  int output_stride;  // elements from one row of X or g to the next
  int sample_stride;  // elements from one row of Xᵀ to the next

  double *values, *scores, *projections;
  double *beta, *design, *target;
  double* design_transposed;  // Xᵀ, [d, n]
  double* basis;              // W of X = U diag(σ) Wᵀ, [d, d]
  double* turned;             // WᵀV or WV', as V
  double *curvature, *drive;  // λ and c of a quadratic loss in that basis, [d]
  double* beta_square;        // ‖β‖²
  double* strength;           // ∫‖∇L‖dt so far

  double* inner;           // z = Ua, tied model
  double* sigma;           // p, [T, k]
  double* weights;         // w of one row
  double* prediction;      // b
  double* residual;        // Xb - β
  double* gradient;        // g, [T, d]
  double* pull;            // h
  double* score_gradient;  // ∂L/∂a (or ∂L/∂z, tied model), [T, k]
};

class FieldArrays {
 public:
  // Zeros everywhere; W of the processor is asked from the kernels.
  FieldArrays(const Problem& problem, Packing packing);

  const FieldViews& views() const { return views_; }
  int lanes() const { return lanes_; }  // trajectories held: 1 along tokens

  // Copies a trajectory's constants and state into a lane, or its state out of it.
  void set(int lane, const Problem& problem, const State& state, double strength);
  void set_state(int lane, const State& state);
  void get(int lane, State& state, double& strength) const;

 private:
  void copy_in(int lane, const double* from, double* to, int rows, int columns, int stride);
  void copy_out(int lane, const double* from, double* to, int rows, int columns, int stride) const;

  int lanes_, width_;  // width_: numbers an element takes
  hwy::AlignedFreeUniquePtr<double[]> storage_;
  FieldViews views_{};
};

}  // namespace polariscope::flow
