#include "polariscope/sweep/logistic.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <cmath>

namespace polariscope::sweep {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// log(1 + e^x), for any x.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// The last of theta is the intercept, which no penalty holds at 0: the base rate is not for shrinking.
struct Problem {
  MatrixXd signs;     // [examples, signs + 1], the last column 1
  VectorXd outcomes;  // 0 or 1

  VectorXd penalised(const VectorXd& theta) const {
    VectorXd weights = theta;
    weights[weights.size() - 1] = 0.0;
    return weights;
  }
  double loss(const VectorXd& theta) const {
    const VectorXd f = signs * theta;
    double sum = 0.5 * penalised(theta).squaredNorm();
    for (Index i = 0; i < f.size(); ++i) sum += softplus(f[i]) - outcomes[i] * f[i];
    return sum;
  }
  VectorXd newton_step(const VectorXd& theta) const {
    const VectorXd p = (signs * theta).unaryExpr(&sigmoid);
    const VectorXd gradient = signs.transpose() * (p - outcomes) + penalised(theta);
    const VectorXd curvature = p.array() * (1.0 - p.array());
    MatrixXd hessian = signs.transpose() * curvature.asDiagonal() * signs;
    hessian.diagonal() += penalised(VectorXd::Ones(theta.size()));
    return -hessian.ldlt().solve(gradient);
  }
};

VectorXd minimum(const Problem& problem) {
  constexpr int kMostSteps = 100, kMostHalvings = 40;
  constexpr double kSmall = 1e-12;
  VectorXd theta = VectorXd::Zero(problem.signs.cols());
  double loss = problem.loss(theta);
  for (int i = 0; i < kMostSteps; ++i) {
    VectorXd step = problem.newton_step(theta);
    if (!(step.lpNorm<Eigen::Infinity>() > kSmall)) break;
    // The loss is convex: half a step that goes too far does not.
    int halvings = 0;
    while (problem.loss(theta + step) > loss && halvings++ < kMostHalvings) step *= 0.5;
    theta += step;
    loss = problem.loss(theta);
  }
  return theta;
}

}  // namespace

Logistic Logistic::fit(std::span<const Example> examples) {
  const auto rows = static_cast<Index>(examples.size()), columns = static_cast<Index>(examples.front().signs.size());
  Problem problem{.signs = MatrixXd::Ones(rows, columns + 1), .outcomes = VectorXd(rows)};
  for (Index i = 0; i < rows; ++i) {
    const Example& example = examples[static_cast<std::size_t>(i)];
    problem.outcomes[i] = example.outcome ? 1.0 : 0.0;
    problem.signs.row(i).head(columns) = Eigen::Map<const Eigen::RowVectorXd>(example.signs.data(), columns);
  }
  Logistic fitted;
  for (Index j = 0; j < columns; ++j) {
    auto column = problem.signs.col(j);
    const double mean = column.mean();
    column.array() -= mean;
    const double deviation = std::sqrt(column.squaredNorm() / static_cast<double>(rows));
    fitted.mean_.push_back(mean);
    fitted.deviation_.push_back(deviation > 0.0 ? deviation : 1.0);  // one that is always the same says nothing
    column /= fitted.deviation_.back();
  }
  const VectorXd theta = minimum(problem);
  fitted.weights_.assign(theta.data(), theta.data() + columns);
  fitted.intercept_ = theta[columns];
  return fitted;
}

double Logistic::probability(std::span<const double> signs) const {
  double f = intercept_;
  for (std::size_t i = 0; i < weights_.size(); ++i) f += weights_[i] * (signs[i] - mean_[i]) / deviation_[i];
  return sigmoid(f);
}

}  // namespace polariscope::sweep
