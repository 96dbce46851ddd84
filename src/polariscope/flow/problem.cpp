#include "polariscope/flow/problem.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace polariscope::flow {
namespace {

constexpr std::array<std::pair<Model, std::string_view>, 5> kModels{{{Model::kValueSoftmax, "value-softmax"},
                                                                     {Model::kReduced, "reduced"},
                                                                     {Model::kRows, "rows"},
                                                                     {Model::kTied, "tied"},
                                                                     {Model::kLinear, "linear"}}};
constexpr std::array<std::pair<Loss, std::string_view>, 4> kLosses{{{Loss::kLogistic, "logistic"},
                                                                    {Loss::kSquare, "square"},
                                                                    {Loss::kLeastSquares, "least-squares"},
                                                                    {Loss::kKl, "kl"}}};

template <class Table>
std::vector<std::string_view> names_of(const Table& table) {
  std::vector<std::string_view> names;
  for (const auto& [value, name] : table) names.push_back(name);
  return names;
}

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  return std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.first == value; })->second;
}

template <class Table>
auto find_in(const Table& table, std::string_view kind, std::string_view name) {
  for (const auto& [value, known] : table) {
    if (known == name) return value;
  }
  throw Error("{}", unknown_name(kind, name, names_of(table)));
}

void require_size(std::string_view what, std::size_t found, std::size_t expected, std::string_view why) {
  if (found != expected) throw Error("{} has {} numbers, expected {}: {}", what, found, expected, why);
}

void require_finite(std::string_view what, const std::vector<double>& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!std::isfinite(numbers[i])) {
      throw Error("{} holds {} at position {}: every number must be finite", what, numbers[i], i);
    }
  }
}

void validate_combination(const Problem& p) {
  if (p.model == Model::kReduced && p.loss != Loss::kLogistic && p.loss != Loss::kSquare) {
    throw Error(
        "model reduced with loss {}: its gradient leaves the line along β, so V cannot be replaced by u = Vᵀβ; "
        "use value-softmax, or loss logistic or square",
        loss_name(p.loss));
  }
  if (p.model == Model::kLinear && p.reweighting->name != "identity") {
    throw Error("model linear with re-weighting {}: the linear network is σ = identity; use value-softmax for others",
                p.reweighting->name);
  }
  if (p.model == Model::kTied && p.outputs != p.tokens) {
    throw Error("model tied has d = {} and k = {}: U is square, so they must be equal", p.outputs, p.tokens);
  }
  if (p.model != Model::kRows && p.rows != 1) {
    throw Error("model {} has {} rows of scores: only the model rows has more than one", model_name(p.model), p.rows);
  }
}

void validate_target(const Problem& p) {
  if (p.loss == Loss::kKl) {
    require_size("p_star", p.target.size(), p.outputs, "one probability an output");
    require_finite("p_star", p.target);
    const double sum = std::accumulate(p.target.begin(), p.target.end(), 0.0);
    if (*std::min_element(p.target.begin(), p.target.end()) < 0.0 || std::abs(sum - 1.0) > 1e-6) {
      throw Error("p_star sums to {:.6g} with smallest entry {:.3g}: it must be a distribution", sum,
                  *std::min_element(p.target.begin(), p.target.end()));
    }
    return;
  }
  require_finite("beta", p.beta);
  if (p.loss == Loss::kLeastSquares) {
    if (p.beta.empty()) throw Error("beta is empty: least squares needs one number a sample");
    require_size("X", p.design.size(), p.beta.size() * p.outputs, "one row a number of beta, one column a row of V");
    require_finite("X", p.design);
  } else {
    require_size("beta", p.beta.size(), p.outputs, "one number a row of V");
  }
  if (std::all_of(p.beta.begin(), p.beta.end(), [](double x) { return x == 0.0; })) {
    throw Error("beta is all zeros: there is no direction to learn");
  }
}

}  // namespace

std::string_view model_name(Model model) { return name_in(kModels, model); }
std::string_view loss_name(Loss loss) { return name_in(kLosses, loss); }
Model find_model(std::string_view name) { return find_in(kModels, "model", name); }
Loss find_loss(std::string_view name) { return find_in(kLosses, "loss", name); }
std::vector<std::string_view> model_names() { return names_of(kModels); }
std::vector<std::string_view> loss_names() { return names_of(kLosses); }

void validate(const Problem& problem) {
  if (problem.outputs < 1 || problem.tokens < 1 || problem.rows < 1) {
    throw Error("the model has d = {}, k = {}, rows = {}: each must be at least 1", problem.outputs, problem.tokens,
                problem.rows);
  }
  validate_combination(problem);
  validate_target(problem);
}

void validate(const Problem& problem, const State& state) {
  validate(problem);
  const std::size_t k = problem.tokens;
  require_size("a", state.scores.size(), problem.rows * k, "one score a token (a column of V)");
  require_finite("a", state.scores);
  if (problem.model == Model::kReduced) {
    require_size("u", state.projections.size(), k, "one number a token");
    require_finite("u", state.projections);
  } else {
    const std::string_view name = problem.model == Model::kTied ? "U" : "V";
    require_size(name, state.values.size(), problem.outputs * k, "d rows of k numbers");
    require_finite(name, state.values);
  }
}

std::vector<double> projections(const Problem& problem, const State& state) {
  if (problem.model == Model::kReduced) return state.projections;
  std::vector<double> direction(problem.outputs);
  for (int i = 0; i < problem.outputs; ++i) {
    if (problem.loss == Loss::kKl) {
      direction[i] = problem.target[i] - 1.0 / problem.outputs;
    } else if (problem.loss == Loss::kLeastSquares) {
      for (int n = 0; n < problem.samples(); ++n)
        direction[i] += problem.design[n * problem.outputs + i] * problem.beta[n];
    } else {
      direction[i] = problem.beta[i];
    }
  }
  std::vector<double> u(problem.tokens);
  for (int i = 0; i < problem.outputs; ++i) {
    for (int j = 0; j < problem.tokens; ++j) u[j] += direction[i] * state.values[i * problem.tokens + j];
  }
  return u;
}

State reduced(const Problem& full, const State& state) {
  State result{.values = {}, .scores = state.scores, .projections = projections(full, state)};
  if (full.loss != Loss::kSquare) return result;
  const double square = std::inner_product(full.beta.begin(), full.beta.end(), full.beta.begin(), 0.0);
  for (int i = 0; i < full.outputs; ++i) {
    for (int j = 0; j < full.tokens; ++j) {
      const double along = full.beta[i] * result.projections[j] / square;
      const double found = state.values[i * full.tokens + j];
      if (std::abs(found - along) > 1e-12 * (1.0 + std::abs(along))) {
        throw Error(
            "model reduced with loss square: V[{}][{}] is {:.6g} where βuᵀ/‖β‖² is {:.6g}; V must lie along β "
            "(zeros do), or use value-softmax",
            i, j, found, along);
      }
    }
  }
  return result;
}

}  // namespace polariscope::flow
