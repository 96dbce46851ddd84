// The family of attentions: how the scores of a row become the weights of its values.
//
//   s_j = scale·φ(q)·φ(k_j) + bias_j,   z_j = T(s_j),   w_j = f(z_j),   p_j = w_j / n
//
// A form names φ, T, f and n. What is no such row (a clipped softmax, softpick, projections onto the
// simplex) keeps the scores and replaces f and n by a rule for the whole row. Table: docs/attention.md.
#pragma once

#include "polariscope/reweighting/reweighting.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::reweighting {

enum class FeatureMap {
  kNone,
  kRelu,  // φ = max(x, 0) + offset
  kElu1,  // φ = elu(x) + 1
};

enum class Transform {
  kNone,
  kSoftCap,       // z = c tanh(s/c)
  kLogCount,      // z = c s log n, n visible keys (SSMax: Nakanishi 2025)
  kMinusLogKeys,  // z = s - log M, M keys of the sequence (sigmoid attention: Ramapuram et al. 2024)
};

enum class RowRule {
  kElementwise,     // p = f(z)/n
  kClippedSoftmax,  // clip((ζ - γ) softmax(z) + γ, 0, 1) (Bondarenko et al. 2023)
  kSoftpick,        // relu(e^z - 1) / (Σ|e^z - 1| + ε) (Zuhri et al. 2025)
  kSparsemax,       // argmin_p ‖p - z‖² on the simplex (Martins and Astudillo 2016)
  kEntmax,          // [(α - 1) z - τ]₊^{1/(α - 1)}, α > 1 (Peters et al. 2019)
};

// A row of the table. The parameters are the published defaults; a copy may change them.
struct AttentionForm {
  std::string_view name;
  std::string_view formula;
  std::string_view alias = "";  // the polarisation paper's name, where it differs
  FeatureMap feature = FeatureMap::kNone;
  double feature_offset = 0.0;  // of kRelu, >= 0
  bool scaled = true;           // scores are divided by √width unless the caller gives a scale
  Transform transform = Transform::kNone;
  double transform_factor = 1.0;  // c of kSoftCap (> 0) and kLogCount
  WeightFunction weight = WeightFunction::kExp;
  Normaliser normaliser = Normaliser::kSum;
  double sum_offset = 0.0;   // added to Normaliser::kSum of other weights than exponentials, >= 0
  double count_power = 1.0;  // α of Normaliser::kCount
  RowRule rule = RowRule::kElementwise;
  double gamma = -0.03, zeta = 1.03;  // kClippedSoftmax, γ <= 0, ζ >= 1
  double epsilon = 1e-8;              // kSoftpick, > 0
  double alpha = 1.5;                 // kEntmax, > 1
  // What a model learns for it beside queries, keys and values.
  bool learned_sink = false;     // s of Normaliser::kSumAndSink, one a head, from 0; without it s is 0
  bool maps_queries = false;     // an MLP that queries and keys go through
  std::string_view colour = "";  // in figures, by its name in report/colours.h; "": the chart's next
};

std::span<const AttentionForm> attention_forms();

// By name or alias; throws Error with the nearest known name.
const AttentionForm& find_attention_form(std::string_view name);

// Throws Error unless every parameter is in its range above.
void validate(const AttentionForm& form);

// Whether the weights can be negative: statistics are then of |w| (attention/statistics.h).
bool is_signed(const AttentionForm& form);

// Whether sum_offset is added to what the weights are divided by.
bool has_sum_offset(const AttentionForm& form);

// What a row's weights are, whatever its scores; a row without any weight aside.
enum class WeightKind {
  kNormalised,    // positive, and they sum to one
  kUnnormalised,  // positive
  kSigned,
  kUniform,  // the same for all scores
};
WeightKind kind_of(const AttentionForm& form);
std::string_view name_of(WeightKind kind);  // for people: "normalised positive"

// The table for people, heading first: name, alias, formula.
std::vector<std::vector<std::string>> attention_form_table();

}  // namespace polariscope::reweighting
