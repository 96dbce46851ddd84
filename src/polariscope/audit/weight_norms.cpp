#include "polariscope/audit/weight_norms.h"

#include "polariscope/base/parallel.h"
#include "polariscope/models/pretrained/parameter_names.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::audit {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::MatrixXd gram(const models::PretrainedModel& model, const std::string& name, std::int64_t head,
                     std::int64_t width) {
  Matrix rows(width, model.shape(name)[1]);
  model.read_rows(name, head * width, width, rows.data());
  const Eigen::MatrixXf product = rows * rows.transpose();
  return product.cast<double>();
}

// ‖Aᵀ B‖₂ by A Aᵀ and B Bᵀ, whose product has the squares of its singular values as eigenvalues; those of the
// symmetric R (B Bᵀ) R with R² = A Aᵀ are the same.
double norm_of_product(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> of_a(a);
  const Eigen::VectorXd roots = of_a.eigenvalues().cwiseMax(0.0).cwiseSqrt();
  const Eigen::MatrixXd root = of_a.eigenvectors() * roots.asDiagonal() * of_a.eigenvectors().transpose();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> both(root * b * root, Eigen::EigenvaluesOnly);
  return std::sqrt(std::max(0.0, both.eigenvalues().maxCoeff()));
}

}  // namespace

std::vector<std::vector<double>> query_key_norms(const models::PretrainedModel& model, int threads) {
  std::vector<std::vector<double>> norms;
  for (std::int64_t n = 0; n < std::ssize(model.description().layers); ++n) {
    const models::AttentionDescription& of = model.description().layers[n].attention;
    std::vector<double>& own = norms.emplace_back(of.heads, std::numeric_limits<double>::quiet_NaN());
    if (of.latent) continue;
    parallel_for(of.key_heads, threads, [&](std::int64_t k) {
      const Eigen::MatrixXd keys = gram(model, models::parameter::layer(n, models::parameter::kKey), k, of.query_width);
      const std::int64_t group = of.heads / of.key_heads;
      for (std::int64_t h = k * group; h < (k + 1) * group; ++h) {
        const Eigen::MatrixXd queries =
            gram(model, models::parameter::layer(n, models::parameter::kQuery), h, of.query_width);
        own[h] = std::abs(of.scale) * norm_of_product(queries, keys);
      }
    });
  }
  return norms;
}

}  // namespace polariscope::audit
