#include "polariscope/flow/internal/field_arrays.h"

#include "polariscope/flow/internal/kernels.h"
#include "polariscope/flow/internal/singular_values.h"

#include <algorithm>
#include <numeric>

namespace polariscope::flow {
namespace {

// A quadratic loss in the basis where its Hessian is diagonal: quadratic-inl.h.
struct DiagonalLoss {
  std::vector<double> basis, curvature, drive;
};

DiagonalLoss diagonal_loss(const Problem& problem) {
  if (problem.loss == Loss::kSquare) {
    return {.basis = {}, .curvature = std::vector<double>(problem.outputs, 1.0), .drive = problem.beta};
  }
  const Eigen::Map<const Matrix> design(problem.design.data(), problem.samples(), problem.outputs);
  const Eigen::Map<const Eigen::VectorXd> beta(problem.beta.data(), problem.samples());
  const SingularValues svd(design, Eigen::ComputeThinU | Eigen::ComputeFullV);
  DiagonalLoss loss;
  const Matrix& basis = svd.matrixV();
  loss.basis.assign(basis.data(), basis.data() + basis.size());
  const auto& sigma = svd.singularValues();
  const Eigen::VectorXd along = svd.matrixU().transpose() * beta;
  // More outputs than samples: the loss is flat along the directions that X does not see.
  loss.curvature.assign(problem.outputs, 0.0);
  loss.drive.assign(problem.outputs, 0.0);
  for (int i = 0; i < sigma.size(); ++i) {
    loss.curvature[i] = 2.0 * sigma[i] * sigma[i];
    loss.drive[i] = 2.0 * sigma[i] * along[i];
  }
  return loss;
}

}  // namespace

FieldArrays::FieldArrays(const Problem& problem, Packing packing) {
  const int simd = simd_lanes();
  const bool along = packing == Packing::kAlongTokens;
  lanes_ = along ? 1 : simd;
  width_ = along ? 1 : simd;
  const auto padded = [&](int n) { return along ? (n + simd - 1) / simd * simd : n; };

  FieldViews& v = views_;
  v.model = problem.model;
  v.loss = problem.loss;
  v.reweighting = reweighting::reweighting_index(*problem.reweighting);
  v.outputs = problem.outputs;
  v.tokens = problem.tokens;
  v.rows = problem.rows;
  v.samples = problem.samples();
  v.stride = padded(v.tokens);
  v.output_stride = padded(v.outputs);

  // One row of numbers that belongs to the whole trajectory still takes a full vector.
  v.sample_stride = padded(std::max(v.samples, 1));
  const bool least_squares = problem.loss == Loss::kLeastSquares;
  const int beta_stride = least_squares ? v.sample_stride : v.output_stride;
  const struct {
    double*& view;
    int elements;
  } parts[] = {
      {v.values, v.output_stride * v.stride},  // whole packets of rows
      {v.scores, v.rows * v.stride},
      {v.projections, v.stride},
      {v.beta, beta_stride},
      {v.design, v.samples * v.output_stride},
      {v.design_transposed, v.samples > 0 ? v.outputs * v.sample_stride : 0},
      {v.basis, least_squares ? padded(v.outputs * v.outputs) : 0},
      {v.turned, least_squares ? v.outputs * v.stride : 0},
      {v.curvature, v.output_stride},
      {v.drive, v.output_stride},
      {v.target, v.output_stride},
      {v.beta_square, padded(1)},
      {v.strength, padded(1)},
      {v.inner, std::max(v.stride, v.output_stride)},
      {v.sigma, v.rows * v.stride},
      {v.weights, v.stride},
      {v.prediction, v.output_stride},
      {v.residual, v.sample_stride},
      {v.gradient, v.rows * v.output_stride},
      {v.pull, v.stride},
      {v.score_gradient, v.rows * v.stride},
  };
  std::size_t total = 0;
  for (const auto& part : parts) total += static_cast<std::size_t>(part.elements) * width_;
  storage_ = hwy::AllocateAligned<double>(std::max<std::size_t>(total, 1));
  std::fill_n(storage_.get(), total, 0.0);
  double* next = storage_.get();
  for (const auto& part : parts) {
    part.view = next;
    next += static_cast<std::size_t>(part.elements) * width_;
  }
}

void FieldArrays::copy_in(int lane, const double* from, double* to, int rows, int columns, int stride) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) to[(r * stride + c) * width_ + lane] = from[r * columns + c];
  }
}

void FieldArrays::copy_out(int lane, const double* from, double* to, int rows, int columns, int stride) const {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) to[r * columns + c] = from[(r * stride + c) * width_ + lane];
  }
}

void FieldArrays::set(int lane, const Problem& problem, const State& state, double strength) {
  const int beta_size = static_cast<int>(problem.beta.size());
  copy_in(lane, problem.beta.data(), views_.beta, 1, beta_size, beta_size);
  copy_in(lane, problem.design.data(), views_.design, views_.samples, views_.outputs, views_.output_stride);
  for (int n = 0; n < views_.samples; ++n) {
    for (int i = 0; i < views_.outputs; ++i) {
      views_.design_transposed[(i * views_.sample_stride + n) * width_ + lane] = problem.design[n * views_.outputs + i];
    }
  }
  if (problem.loss == Loss::kSquare || problem.loss == Loss::kLeastSquares) {
    const DiagonalLoss loss = diagonal_loss(problem);
    copy_in(lane, loss.basis.data(), views_.basis, 1, static_cast<int>(loss.basis.size()), 0);
    copy_in(lane, loss.curvature.data(), views_.curvature, 1, views_.outputs, 0);
    copy_in(lane, loss.drive.data(), views_.drive, 1, views_.outputs, 0);
  }
  copy_in(lane, problem.target.data(), views_.target, 1, static_cast<int>(problem.target.size()), 0);
  const double square = std::inner_product(problem.beta.begin(), problem.beta.end(), problem.beta.begin(), 0.0);
  views_.beta_square[lane] = square;
  views_.strength[lane] = strength;
  set_state(lane, state);
}

void FieldArrays::set_state(int lane, const State& state) {
  if (!state.values.empty()) {
    copy_in(lane, state.values.data(), views_.values, views_.outputs, views_.tokens, views_.stride);
  }
  copy_in(lane, state.scores.data(), views_.scores, views_.rows, views_.tokens, views_.stride);
  if (!state.projections.empty()) {
    copy_in(lane, state.projections.data(), views_.projections, 1, views_.tokens, views_.stride);
  }
}

void FieldArrays::get(int lane, State& state, double& strength) const {
  if (!state.values.empty()) {
    copy_out(lane, views_.values, state.values.data(), views_.outputs, views_.tokens, views_.stride);
  }
  copy_out(lane, views_.scores, state.scores.data(), views_.rows, views_.tokens, views_.stride);
  if (!state.projections.empty()) {
    copy_out(lane, views_.projections, state.projections.data(), 1, views_.tokens, views_.stride);
  }
  strength = views_.strength[lane];
}

}  // namespace polariscope::flow
