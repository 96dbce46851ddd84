// The largest singular value of a linear map that is given by what it does, never as a matrix.
#pragma once

#include <Eigen/Core>

#include <functional>

namespace polariscope::metrics {

// value: the largest singular value σ of the map A whose AᵀA is `gram`; vector: of unit length, with ‖A·vector‖ = σ.
struct LargestSingular {
  double value = 0.0;
  Eigen::VectorXd vector;
};

// Lanczos iteration on `gram`, every vector kept and orthogonalised twice; ends when the residual says that the
// eigenvalue σ² is within 1e-12 of its size, at `dimension` steps, or at 300. It approaches from below.
LargestSingular largest_singular(Eigen::Index dimension,
                                 const std::function<Eigen::VectorXd(const Eigen::VectorXd&)>& gram);

}  // namespace polariscope::metrics
