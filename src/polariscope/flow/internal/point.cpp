#include "polariscope/flow/internal/point.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace polariscope::flow {
namespace {

using Vector = std::vector<double>;

double dot(std::span<const double> x, std::span<const double> y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

// log(1 + e^-z) without overflow or cancellation.
double softplus_minus(double z) { return std::max(-z, 0.0) + std::log1p(std::exp(-std::abs(z))); }

// M x for a row-major matrix with x.size() columns.
Vector multiply(const Vector& m, std::span<const double> x) {
  Vector y(m.size() / x.size());
  for (std::size_t r = 0; r < y.size(); ++r) y[r] = dot(std::span(m).subspan(r * x.size(), x.size()), x);
  return y;
}

Vector multiply_transposed(const Vector& m, std::span<const double> x) {
  Vector y(m.size() / x.size());
  for (std::size_t r = 0; r < x.size(); ++r) {
    for (std::size_t c = 0; c < y.size(); ++c) y[c] += m[r * y.size() + c] * x[r];
  }
  return y;
}

struct LossPoint {
  double loss;
  Vector gradient;
};

LossPoint loss_at(const Problem& problem, const Vector& b) {
  LossPoint point{0.0, Vector(b.size())};
  switch (problem.loss) {
    case Loss::kLogistic: {
      const double z = dot(problem.beta, b);
      point.loss = softplus_minus(z);
      for (std::size_t i = 0; i < b.size(); ++i) point.gradient[i] = -problem.beta[i] / (1.0 + std::exp(z));
      break;
    }
    case Loss::kSquare:
      for (std::size_t i = 0; i < b.size(); ++i) point.gradient[i] = b[i] - problem.beta[i];
      point.loss = 0.5 * dot(point.gradient, point.gradient);
      break;
    case Loss::kLeastSquares: {
      Vector residual = multiply(problem.design, b);
      for (std::size_t n = 0; n < residual.size(); ++n) residual[n] -= problem.beta[n];
      point.loss = dot(residual, residual);
      point.gradient = multiply_transposed(problem.design, residual);
      for (double& g : point.gradient) g *= 2.0;
      break;
    }
    case Loss::kKl: {
      const double top = *std::max_element(b.begin(), b.end());
      double total = 0.0;
      for (double x : b) total += std::exp(x - top);
      for (std::size_t i = 0; i < b.size(); ++i) {
        if (problem.target[i] > 0.0) point.loss -= problem.target[i] * (b[i] - top - std::log(total));
        point.gradient[i] = std::exp(b[i] - top) / total - problem.target[i];
      }
      break;
    }
  }
  return point;
}

// The reduced model's loss and slope g_z along z = u·p = βᵀb.
LossPoint reduced_loss_at(const Problem& problem, double z) {
  if (problem.loss == Loss::kLogistic) return {softplus_minus(z), {-1.0 / (1.0 + std::exp(z))}};
  const double square = dot(problem.beta, problem.beta);
  const double missing = 1.0 - z / square;
  return {0.5 * square * missing * missing, {-missing}};
}

void evaluate_row(const Problem& problem, const State& state, int row, Point& point) {
  const std::size_t k = problem.tokens;
  const std::span<const double> a = std::span(state.scores).subspan(row * k, k);
  const std::span<double> p = std::span(point.sigma).subspan(row * k, k);
  const std::span<double> da = std::span(point.slope.scores).subspan(row * k, k);
  const bool tied = problem.model == Model::kTied;
  const Vector z = tied ? multiply(state.values, a) : Vector(a.begin(), a.end());
  reweighting::reweight(*problem.reweighting, z, p);

  Vector pull(k);
  LossPoint loss;
  if (problem.model == Model::kReduced) {
    loss = reduced_loss_at(problem, dot(state.projections, p));
    const double square = dot(problem.beta, problem.beta);
    for (std::size_t j = 0; j < k; ++j) {
      pull[j] = loss.gradient[0] * state.projections[j];
      point.slope.projections[j] = loss.gradient[0] * square * p[j];
    }
    point.gradient_norm += std::abs(loss.gradient[0]) * std::sqrt(square);
  } else {
    loss = loss_at(problem, multiply(state.values, p));
    pull = multiply_transposed(state.values, loss.gradient);
    for (std::size_t i = 0; i < loss.gradient.size(); ++i) {
      for (std::size_t j = 0; j < k; ++j) point.slope.values[i * k + j] += loss.gradient[i] * p[j];
    }
    point.gradient_norm += std::sqrt(dot(loss.gradient, loss.gradient));
  }
  point.loss += loss.loss;
  point.gradient.insert(point.gradient.end(), loss.gradient.begin(), loss.gradient.end());

  if (tied) {
    Vector dz(k);
    reweighting::reweight_vjp(*problem.reweighting, z, pull, dz);
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j) point.slope.values[i * k + j] += dz[i] * a[j];
    }
    const Vector back = multiply_transposed(state.values, dz);
    std::copy(back.begin(), back.end(), da.begin());
  } else {
    reweighting::reweight_vjp(*problem.reweighting, z, pull, da);
  }
}

}  // namespace

Point evaluate(const Problem& problem, const State& state) {
  Point point;
  point.sigma.resize(state.scores.size());
  point.slope.values.resize(state.values.size());
  point.slope.scores.resize(state.scores.size());
  point.slope.projections.resize(state.projections.size());
  for (int row = 0; row < problem.rows; ++row) evaluate_row(problem, state, row, point);
  return point;
}

State moved(const State& state, double factor, const State& direction) {
  const auto add = [&](Vector x, const Vector& d) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += factor * d[i];
    return x;
  };
  return {add(state.values, direction.values), add(state.scores, direction.scores),
          add(state.projections, direction.projections)};
}

}  // namespace polariscope::flow
