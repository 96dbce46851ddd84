#include "polariscope/flow/start.h"

#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/flow/internal/singular_values.h"

#include <algorithm>
#include <cmath>

namespace polariscope::flow {
namespace {

void draw_target(Start& start, const StartOptions& options, RandomStream& random) {
  Problem& problem = start.problem;
  if (problem.loss == Loss::kKl) {
    problem.target.resize(options.outputs);
    double total = 0.0;
    for (double& p : problem.target) total += p = std::exp(10.0 * random.uniform());
    for (double& p : problem.target) p /= total;
    return;
  }
  const int n = options.samples > 0 ? options.samples : options.outputs;
  if (problem.loss == Loss::kLeastSquares) {
    Matrix x(n, options.outputs);
    random.fill_normal({x.data(), static_cast<std::size_t>(x.size())}, 1.0);
    const SingularValues svd(x, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const auto singular = Eigen::VectorXd::LinSpaced(svd.singularValues().size(), 1.0, 1.0 / options.condition);
    x = svd.matrixU() * singular.asDiagonal() * svd.matrixV().transpose();
    problem.design.assign(x.data(), x.data() + x.size());
  }
  problem.beta.resize(problem.loss == Loss::kLeastSquares ? n : options.outputs);
  random.fill_normal(problem.beta, 1.0);
  if (problem.loss == Loss::kLeastSquares) return;
  double square = 0.0;
  for (double b : problem.beta) square += b * b;
  for (double& b : problem.beta) b /= std::sqrt(square);
}

}  // namespace

StartOptions usual_start(Model model, Loss loss, const reweighting::Reweighting& reweighting) {
  StartOptions options;
  if (loss == Loss::kLeastSquares) {
    options.value_scale = 1e-5;
    options.score_scale = 1e-3;
  }
  if (model == Model::kTied) options.value_scale = 0.0;
  if (model == Model::kRows) {
    options.rows = 4;
    options.score_scale = 0.1;
  }
  if (model == Model::kTied || !(reweighting::weight(reweighting, 0.0) > 0.0)) {
    options.score_offset = 1.0;
    options.score_scale = 0.1;
  }
  return options;
}

Start random_start(Model model, Loss loss, const reweighting::Reweighting& reweighting, const StartOptions& options,
                   std::uint64_t seed, std::uint64_t trajectory) {
  RandomStream random(seed, trajectory);
  Start start;
  start.problem = {.model = model,
                   .loss = loss,
                   .reweighting = &reweighting,
                   .outputs = options.outputs,
                   .tokens = options.tokens,
                   .rows = options.rows,
                   .beta = {},
                   .design = {},
                   .target = {}};
  if (options.outputs < 1 || options.tokens < 1 || options.rows < 1) validate(start.problem);
  if (!(options.condition >= 1.0) || std::isinf(options.condition)) {
    throw Error("the condition number is {}: it must be finite and at least 1", options.condition);
  }
  draw_target(start, options, random);

  State& state = start.state;
  const bool stays_on_beta = model == Model::kReduced && loss == Loss::kSquare;
  state.values.resize(static_cast<std::size_t>(options.outputs) * options.tokens);
  random.fill_normal(state.values, stays_on_beta ? 0.0 : options.value_scale);
  if (model == Model::kTied) {
    for (int i = 0; i < std::min(options.outputs, options.tokens); ++i) state.values[i * options.tokens + i] += 1.0;
  }
  state.scores.resize(static_cast<std::size_t>(options.rows) * options.tokens);
  random.fill_normal(state.scores, options.score_scale);
  for (double& a : state.scores) a += options.score_offset;
  if (model == Model::kReduced) {
    Problem full = start.problem;
    full.model = Model::kValueSoftmax;
    state = reduced(full, state);
  }
  return start;
}

}  // namespace polariscope::flow
