// Where a flow begins: random arrays.
#pragma once

#include "polariscope/flow/problem.h"

#include <cstdint>

namespace polariscope::flow {

// How a random start is drawn: all of it from the stream (seed, trajectory), so that trajectory i of an
// ensemble is the same whoever runs it.
struct StartOptions {
  int outputs = 8;
  int tokens = 8;
  int rows = 1;
  double value_scale = 0.1;  // V = value_scale · N(0, 1); the tied model adds the identity
  double score_scale = 0.0;  // a = score_offset + score_scale · N(0, 1)
  double score_offset = 0.0;
  double condition = 1.0;  // at least 1: X has singular values linspace(1, 1/condition, n); least squares only
  int samples = 0;         // n; 0: as many as outputs
};

struct Start {
  Problem problem;
  State state;
};

// What the paper's figures start from: V = 0.1·N(0, 1) and a = 0 where f(0) > 0, else a = 1 + 0.1·N(0, 1);
// the tied model U = I; least squares V = 1e-5·N, a = 1e-3·N; many rows a = 0.1·N, so that they differ.
StartOptions usual_start(Model model, Loss loss, const reweighting::Reweighting& reweighting);

// β is uniform on the unit sphere (least squares: N(0, 1)); p* = softmax(10·U(0, 1)); X is a Gaussian
// matrix with its singular values replaced.
// The reduced model starts from u = Vᵀβ of the same draw (under square loss from V = 0). Throws Error for sizes
// below 1 and a condition number that is none.
Start random_start(Model model, Loss loss, const reweighting::Reweighting& reweighting, const StartOptions& options,
                   std::uint64_t seed, std::uint64_t trajectory = 0);

}  // namespace polariscope::flow
