// What flows: a model, a loss, a re-weighting function, and the arrays they act on.
#pragma once

#include "polariscope/reweighting/reweighting.h"

#include <string_view>
#include <vector>

namespace polariscope::flow {

// d outputs, k tokens, T rows of scores. σ is the re-weighting function.
enum class Model {
  kValueSoftmax,  // b = V σ(a)
  kReduced,       // the same through u = Vᵀβ alone; exact where the loss's gradient stays along β
  kRows,          // b_t = V σ(a_t) for T rows, losses summed: shared values, one target
  kTied,          // b = U σ(U a), U is [d, d]
  kLinear,        // b = V a
};

enum class Loss {
  kLogistic,      // log(1 + exp(-βᵀb))
  kSquare,        // ½‖β - b‖²
  kLeastSquares,  // ‖β - X b‖², no ½
  kKl,            // -Σ p* log softmax(b); its minimum is the entropy of p*
};

std::string_view model_name(Model model);
std::string_view loss_name(Loss loss);
Model find_model(std::string_view name);  // throws Error with the nearest known name
Loss find_loss(std::string_view name);
std::vector<std::string_view> model_names();
std::vector<std::string_view> loss_names();

struct Problem {
  Model model = Model::kValueSoftmax;
  Loss loss = Loss::kLogistic;
  const reweighting::Reweighting* reweighting = &reweighting::find_reweighting("softmax");
  int outputs = 0;             // d
  int tokens = 0;              // k; equals d for the tied model
  int rows = 1;                // T; 1 except for the rows model
  std::vector<double> beta;    // [d]; least squares: [n]
  std::vector<double> design;  // X, [n, d] row-major; least squares only
  std::vector<double> target;  // p*, [d]; KL only

  int samples() const { return loss == Loss::kLeastSquares ? static_cast<int>(beta.size()) : 0; }
};

struct State {
  std::vector<double> values;       // V [d, k] or U [d, d], row-major; empty for the reduced model
  std::vector<double> scores;       // a, [T, k]
  std::vector<double> projections;  // u, [k]; the reduced model only
};

// Throws Error, with the reason, for a combination that makes no sense, shapes that do not fit,
// numbers that are not finite, β = 0 or p* that is no distribution.
void validate(const Problem& problem);
void validate(const Problem& problem, const State& state);

// The direction that draws the scores: u = Vᵀβ; Vᵀ Xᵀβ for least squares; Vᵀ(p* - 1/d) for KL. [k]
std::vector<double> projections(const Problem& problem, const State& state);

// The reduced model's start from a full one. Under square loss V must be βuᵀ/‖β‖² (Lemma 3.5), else throws.
State reduced(const Problem& full, const State& state);

}  // namespace polariscope::flow
