#include "polariscope/flow/trajectory.h"

#include "polariscope/base/files.h"
#include "polariscope/base/npy.h"
#include "polariscope/flow/internal/point.h"
#include "polariscope/flow/internal/singular_values.h"
#include "polariscope/metrics/entropy.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::flow {
namespace {

using Vector = std::vector<double>;

double norm(const Vector& x) { return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0)); }

// Of |p|/Σ|p|; NaN for a row without any weight, which has no such shares.
double abs_entropy(std::span<const double> p) {
  const bool weightless = std::all_of(p.begin(), p.end(), [](double x) { return x == 0.0; });
  return weightless ? std::numeric_limits<double>::quiet_NaN() : metrics::row_abs_entropy(p);
}

// dL/dt along the flow by central difference: independent of the analytic gradient, up to direction.
// NaN where the difference drowns in rounding.
double loss_rate(const Problem& problem, const State& state, const Point& point) {
  const double speed = std::sqrt(std::pow(norm(point.slope.values), 2) + std::pow(norm(point.slope.scores), 2) +
                                 std::pow(norm(point.slope.projections), 2));
  // Far enough to be measured, near enough that the residual hardly changes.
  const double reach = norm(state.values) + norm(state.projections) + norm(point.sigma);
  const double residual = problem.loss == Loss::kLogistic ? 1.0 / norm(problem.beta) : point.gradient_norm;
  const double half_step = 1e-2 * residual / (reach * speed);
  const double ahead = loss_of(problem, moved(state, -half_step, point.slope));
  const double behind = loss_of(problem, moved(state, half_step, point.slope));
  // Near a minimum the residual b − β keeps the rounding of b and of β, whatever is left of the loss.
  const bool fits_beta = problem.loss == Loss::kSquare || problem.loss == Loss::kLeastSquares;
  const double rounding =
      std::numeric_limits<double>::epsilon() * (ahead + point.gradient_norm * reach * norm(point.sigma) +
                                                (fits_beta ? 2.0 * std::sqrt(2.0 * ahead) * norm(problem.beta) : 0.0));
  const bool measurable = std::abs(ahead - behind) > 1e5 * rounding;
  return measurable ? (ahead - behind) / (2.0 * half_step) : std::numeric_limits<double>::quiet_NaN();
}

// ‖V - β uᵀ/‖β‖²‖_F
double orthogonal_part(const Problem& problem, const State& state, const Vector& u) {
  if (problem.loss == Loss::kKl || problem.loss == Loss::kLeastSquares || state.values.empty()) return 0.0;
  const double square = std::inner_product(problem.beta.begin(), problem.beta.end(), problem.beta.begin(), 0.0);
  double sum = 0.0;
  for (int i = 0; i < problem.outputs; ++i) {
    for (int j = 0; j < problem.tokens; ++j) {
      const double rest = state.values[i * problem.tokens + j] - problem.beta[i] * u[j] / square;
      sum += rest * rest;
    }
  }
  return std::sqrt(sum);
}

void observe_singular_values(Trajectory& trajectory, const State& state) {
  const Eigen::Map<const Matrix> v(state.values.data(), trajectory.problem.outputs, trajectory.problem.tokens);
  const Eigen::VectorXd singular = SingularValues(v).singularValues();
  trajectory.singular_values.insert(trajectory.singular_values.end(), singular.begin(), singular.end());
  trajectory.effective_rank.push_back(std::exp(abs_entropy(std::span(singular.data(), singular.size()))));
}

}  // namespace

std::string_view ending_name(Ending ending) {
  switch (ending) {
    case Ending::kHorizon: return "horizon";
    case Ending::kConverged: return "converged";
    case Ending::kStuck: return "stuck";
    case Ending::kDiverged: return "diverged";
  }
  return "";
}

double loss_of(const Problem& problem, const State& state) { return evaluate(problem, state).loss; }

Trajectory Trajectory::starting(Problem problem, State state) {
  Trajectory trajectory;
  trajectory.problem = std::move(problem);
  trajectory.final_state = std::move(state);
  return trajectory;
}

Vector Trajectory::column(const Vector& record, int width, int index) {
  Vector result(record.size() / width);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = record[i * width + index];
  return result;
}

void observe(Trajectory& trajectory, const State& state, double t, double strength, bool singular_values) {
  const Problem& problem = trajectory.problem;
  const Point point = evaluate(problem, state);
  const Vector u = projections(problem, state);
  const auto append = [](Vector& record, const Vector& numbers) {
    record.insert(record.end(), numbers.begin(), numbers.end());
  };
  trajectory.t.push_back(t);
  trajectory.loss.push_back(point.loss);
  append(trajectory.scores, state.scores);
  append(trajectory.u, u);
  append(trajectory.sigma, point.sigma);
  for (int row = 0; row < problem.rows; ++row) {
    const std::span<const double> p = std::span(point.sigma).subspan(row * problem.tokens, problem.tokens);
    const bool negative = std::any_of(p.begin(), p.end(), [](double x) { return x < 0.0; });
    trajectory.abs_entropy.push_back(abs_entropy(p));
    trajectory.entropy.push_back(negative ? std::numeric_limits<double>::quiet_NaN() : trajectory.abs_entropy.back());
    trajectory.winner.push_back(static_cast<double>(std::max_element(p.begin(), p.end()) - p.begin()));
  }
  trajectory.gradient_values.push_back(problem.model == Model::kReduced ? point.gradient_norm * norm(point.sigma)
                                                                        : norm(point.slope.values));
  trajectory.gradient_scores.push_back(norm(point.slope.scores));
  trajectory.gradient_output.push_back(point.gradient_norm);
  trajectory.loss_rate.push_back(loss_rate(problem, state, point));
  trajectory.strength.push_back(strength);
  trajectory.orthogonal.push_back(orthogonal_part(problem, state, u));
  if (singular_values && !state.values.empty()) observe_singular_values(trajectory, state);
}

void write_trajectory(const Trajectory& trajectory, const std::filesystem::path& folder, const nlohmann::json& what) {
  const Problem& problem = trajectory.problem;
  const std::size_t width = trajectory.row_width();
  const std::size_t tokens = problem.tokens;
  const std::size_t rows = problem.rows;
  std::vector<NpyField> fields{{"t", 1, trajectory.t},
                               {"loss", 1, trajectory.loss},
                               {"a", width, trajectory.scores},
                               {"u", tokens, trajectory.u},
                               {"sigma", width, trajectory.sigma},
                               {"entropy", rows, trajectory.entropy},
                               {"abs_entropy", rows, trajectory.abs_entropy},
                               {"winner", rows, trajectory.winner},
                               {"gradient_values", 1, trajectory.gradient_values},
                               {"gradient_scores", 1, trajectory.gradient_scores},
                               {"gradient_output", 1, trajectory.gradient_output},
                               {"loss_rate", 1, trajectory.loss_rate},
                               {"strength", 1, trajectory.strength},
                               {"orthogonal", 1, trajectory.orthogonal}};
  if (!trajectory.effective_rank.empty()) {
    fields.push_back(
        {"singular_values", trajectory.singular_values.size() / trajectory.points(), trajectory.singular_values});
    fields.push_back({"effective_rank", 1, trajectory.effective_rank});
  }
  write_file(folder / "trajectory.npy", npy_records(trajectory.points(), fields));

  nlohmann::json events = nlohmann::json::array();
  for (const Event& event : trajectory.events) {
    events.push_back({{"t", event.t},
                      {"row", event.row},
                      {"risen", event.risen},
                      {"fallen", event.fallen},
                      {"winner", event.winner}});
  }
  const nlohmann::json description = {
      {"what", what},
      {"model", model_name(problem.model)},
      {"loss", loss_name(problem.loss)},
      {"reweighting", problem.reweighting->name},
      {"outputs", problem.outputs},
      {"tokens", problem.tokens},
      {"rows", problem.rows},
      {"beta", problem.beta},
      {"X", problem.design},
      {"p_star", problem.target},
      {"points", trajectory.points()},
      {"ending", ending_name(trajectory.ending)},
      {"evaluations", trajectory.evaluations},
      {"events", events},
  };
  write_file(folder / "trajectory.json", description.dump(2) + "\n");
}

}  // namespace polariscope::flow
