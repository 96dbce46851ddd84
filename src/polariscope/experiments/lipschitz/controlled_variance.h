// Attention over scores whose variance is set: queries of a given norm, keys N(0, σ²I), so that q·k given q is
// N(0, ‖q‖²σ²). What figure 2, the power law (8) and equation (20) of the Lipschitz paper are measured on.
#pragma once

#include "polariscope/metrics/mean.h"
#include "polariscope/metrics/variance_entropy.h"
#include "polariscope/reweighting/attention_form.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::experiments {

struct ControlledAttention {
  std::string_view name;  // "softmax"
  reweighting::AttentionForm form;
  bool layer_norm;     // of query and key before the scores: γ = 1, β = 0, ε = 1e-5
  std::string colour;  // in every figure
};
// softmax, QK-LayerNorm and then softmax, the ReLU kernel, the ELU+1 kernel. Scores are not divided by √width.
enum ControlledKind { kSoftmax, kQkLayerNorm, kReluKernel, kElu1Kernel };
std::span<const ControlledAttention> controlled_attentions();

struct ControlledScores {
  std::int64_t keys = 200, width = 12, queries = 300;
  double query_norm = 1.0;  // queries are uniform on the sphere of this radius
  double key_scale = 1.0;   // σ
};

struct ControlledRows {
  double score_variance = 0.0;    // Var_j[q·k_j] before any LayerNorm, mean over rows
  metrics::Mean entropy;          // over rows, nats
  std::int64_t dead = 0;          // rows without any weight, left out of the entropy
  std::vector<double> first_row;  // p of the first query, [keys]
};
// Rows of one seed; another scale has the same directions, another attention the same scores.
ControlledRows controlled_rows(const ControlledAttention& attention, const ControlledScores& scores,
                               std::uint64_t seed);

// log H̃ on log Var over points of a sweep, H̃ of the mean entropy; rows over `keys` keys.
metrics::PowerLaw power_law_of(std::span<const ControlledRows> sweep, std::int64_t keys);
// The points: H̃ of the mean entropy.
double normalised_entropy_of(const ControlledRows& rows, std::int64_t keys);

}  // namespace polariscope::experiments
