// What the tests of the flow share: every combination that makes sense, random starts, vectors compared.
#pragma once

#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/flow/start.h"
#include "polariscope/flow/trajectory.h"
#include "support/complaint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace polariscope::testing {

using Vector = std::vector<double>;

inline const reweighting::Reweighting& row(std::string_view name) { return reweighting::find_reweighting(name); }

// max|Δ| / max|expected|; infinity where a number is missing or not finite.
inline double relative_error(const Vector& found, const Vector& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double here = std::abs(found[i] - expected[i]);
    if (!std::isfinite(here)) return INFINITY;
    difference = std::max(difference, here);
    size = std::max(size, std::abs(expected[i]));
  }
  return difference == 0.0 ? 0.0 : difference / size;
}

inline double relative_error(const flow::State& found, const flow::State& expected) {
  return std::max({relative_error(found.values, expected.values), relative_error(found.scores, expected.scores),
                   relative_error(found.projections, expected.projections)});
}

struct Combination {
  flow::Model model;
  flow::Loss loss;
  const reweighting::Reweighting* reweighting;
  std::string name() const {
    return fmt::format("{} {} {}", flow::model_name(model), flow::loss_name(loss), reweighting->name);
  }
};

inline void PrintTo(const Combination& one, std::ostream* out) { *out << one.name(); }

// A start whose weights are away from the poles and kinks of every row: a = 1 + N(0, 0.3²).
inline flow::StartOptions tame(int outputs, int tokens, int rows) {
  return {.outputs = outputs,
          .tokens = tokens,
          .rows = rows,
          .value_scale = 0.3,
          .score_scale = 0.3,
          .score_offset = 1.0,
          .condition = 2.0,
          .samples = 0};
}

// Every model, loss and row of the table that validate() takes.
inline std::vector<Combination> combinations() {
  std::vector<Combination> valid;
  for (const std::string_view model : flow::model_names()) {
    for (const std::string_view loss : flow::loss_names()) {
      for (const reweighting::Reweighting& reweighting : reweighting::reweightings()) {
        const Combination one{flow::find_model(model), flow::find_loss(loss), &reweighting};
        try {
          const flow::Start start = flow::random_start(one.model, one.loss, reweighting, tame(3, 3, 1), 0);
          flow::validate(start.problem, start.state);
          valid.push_back(one);
        } catch (const Error&) {
          // refused: problem_test holds it to its reason
        }
      }
    }
  }
  return valid;
}

// Logistic loss, softmax, a = 0 and V = 0.1·N(0, 1): where the theorems begin.
inline flow::Start level_start(int d, int k, std::uint64_t seed, flow::Model model = flow::Model::kValueSoftmax,
                               flow::Loss loss = flow::Loss::kLogistic) {
  flow::StartOptions options;
  options.outputs = d;
  options.tokens = k;
  return flow::random_start(model, loss, row("softmax"), options, seed);
}

// Square loss with V₀ = βu₀ᵀ/‖β‖², u₀ random: along β, as Lemma 3.5 wants it.
inline flow::Start along_beta(int d, int k, std::uint64_t seed, const reweighting::Reweighting& reweighting,
                              double score_scale = 0.0) {
  flow::StartOptions options;
  options.outputs = d;
  options.tokens = k;
  options.score_scale = score_scale;
  flow::Start start = flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kSquare, reweighting, options, seed);
  const Vector u = flow::projections(start.problem, start.state);
  for (int i = 0; i < d; ++i) {
    for (int j = 0; j < k; ++j) start.state.values[i * k + j] = start.problem.beta[i] * u[j];  // ‖β‖ = 1
  }
  return start;
}

}  // namespace polariscope::testing
