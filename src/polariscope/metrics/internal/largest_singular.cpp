#include "polariscope/metrics/internal/largest_singular.h"

#include "polariscope/base/random.h"

#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>
#include <vector>

namespace polariscope::metrics {
namespace {

constexpr Eigen::Index kMostSteps = 300;
constexpr Eigen::Index kEverySteps = 8;  // between looks at the residual, which cost k³
constexpr double kRounding = 1e-14;
constexpr double kTolerance = 1e-12;

// The same start every time: a random one is orthogonal to no eigenvector.
Eigen::VectorXd start_of(Eigen::Index dimension) {
  constexpr std::uint64_t kSeed = 0x4c616e637a6f73;
  RandomStream random(kSeed, 0);
  Eigen::VectorXd start(dimension);
  for (double& value : start) value = random.normal();
  return start.normalized();
}

}  // namespace

// gram·Q_k = Q_k T_k + beta_k q_{k+1} e_kᵀ with T_k tridiagonal: for an eigenpair (θ, s) of T_k the residual of Q_k s
// is beta_k |s_k|.
LargestSingular largest_singular(Eigen::Index dimension,
                                 const std::function<Eigen::VectorXd(const Eigen::VectorXd&)>& gram) {
  const Eigen::Index most = std::min(dimension, kMostSteps);
  std::vector<Eigen::VectorXd> basis{start_of(dimension)};
  Eigen::VectorXd diagonal(most), beside(most);
  for (Eigen::Index k = 0; k < most; ++k) {
    Eigen::VectorXd next = gram(basis.back());
    diagonal[k] = next.dot(basis.back());
    for (int twice = 0; twice < 2; ++twice) {
      for (const Eigen::VectorXd& q : basis) next -= q.dot(next) * q;
    }
    beside[k] = next.stableNorm();  // its square may be beyond the largest double
    // What is left is rounding alone: the basis spans all that the start reaches.
    const bool last = k + 1 == most || beside[k] <= kRounding * diagonal.head(k + 1).maxCoeff();
    if (!last && k >= kEverySteps && k % kEverySteps != 0) {
      basis.emplace_back(next / beside[k]);
      continue;
    }

    // Eigen tells small from zero by an absolute size here, so its numbers must be near one.
    const double largest = diagonal.head(k + 1).maxCoeff(), scale = largest > 0.0 ? largest : 1.0;
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> small;
    small.computeFromTridiagonal(diagonal.head(k + 1) / scale, beside.head(k) / scale);
    const double theta = scale * std::max(small.eigenvalues()[k], 0.0);
    const double residual = beside[k] * std::abs(small.eigenvectors()(k, k));
    if (residual > kTolerance * theta && !last) {
      basis.emplace_back(next / beside[k]);
      continue;
    }
    Eigen::VectorXd vector = Eigen::VectorXd::Zero(dimension);
    for (Eigen::Index i = 0; i <= k; ++i) vector += small.eigenvectors()(i, k) * basis[static_cast<std::size_t>(i)];
    return {std::sqrt(theta), vector.normalized()};
  }
  return {};
}

}  // namespace polariscope::metrics
