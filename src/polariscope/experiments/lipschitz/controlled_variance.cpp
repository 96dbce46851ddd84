#include "polariscope/experiments/lipschitz/controlled_variance.h"

#include "polariscope/attention/oracle/oracle.h"
#include "polariscope/base/random.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/logits.h"
#include "polariscope/report/colours.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace polariscope::experiments {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

// φ = ReLU itself: without the offset that keeps training's rows alive.
reweighting::AttentionForm pure_relu_kernel() {
  reweighting::AttentionForm form = reweighting::find_attention_form("relu_kernel/sum");
  form.feature_offset = 0.0;
  return form;
}

void normalise(std::span<double> row) {
  const auto n = static_cast<double>(row.size());
  const double mean = std::accumulate(row.begin(), row.end(), 0.0) / n;
  double variance = 0.0;
  for (double& x : row) {
    x -= mean;
    variance += x * x / n;
  }
  for (double& x : row) x /= std::sqrt(variance + kLayerNormEpsilon);
}

struct Vectors {
  std::vector<double> query, key;  // [queries, width], [keys, width]
};

Vectors draw(const ControlledScores& scores, std::uint64_t seed) {
  enum Stream : std::uint64_t { kQueries, kKeys };
  Vectors vectors{std::vector<double>(scores.queries * scores.width), std::vector<double>(scores.keys * scores.width)};
  RandomStream(seed, kQueries).fill_normal(vectors.query, 1.0);
  RandomStream(seed, kKeys).fill_normal(vectors.key, scores.key_scale);
  for (std::int64_t i = 0; i < scores.queries; ++i) {
    const std::span<double> row = std::span(vectors.query).subspan(i * scores.width, scores.width);
    const double norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    for (double& x : row) x *= scores.query_norm / norm;
  }
  return vectors;
}

metrics::AttentionMap<double> map_of(const std::vector<double>& values, const ControlledScores& scores) {
  return {.values = values, .samples = 1, .heads = 1, .queries = scores.queries, .keys = scores.keys};
}

double variance_of_scores(const Vectors& vectors, const ControlledScores& scores) {
  std::vector<double> z;
  z.reserve(scores.queries * scores.keys);
  for (std::int64_t i = 0; i < scores.queries; ++i) {
    const auto q = vectors.query.begin() + i * scores.width;
    for (std::int64_t j = 0; j < scores.keys; ++j) {
      z.push_back(std::inner_product(q, q + scores.width, vectors.key.begin() + j * scores.width, 0.0));
    }
  }
  return metrics::logit_variance(map_of(z, scores)).front().value();
}

std::vector<double> weights_of(const reweighting::AttentionForm& form, const Vectors& vectors,
                               const ControlledScores& scores) {
  std::vector<double> weights(scores.queries * scores.keys);
  attention::AttentionInput<double> input;
  input.form = form;
  input.shape = {.queries = scores.queries, .keys = scores.keys, .width = scores.width, .value_width = scores.width};
  input.query = {.data = vectors.query.data(), .row_stride = scores.width};
  input.key = {.data = vectors.key.data(), .row_stride = scores.width};
  input.value = input.key;
  attention::oracle_weights(input, weights.data());
  return weights;
}

}  // namespace

std::span<const ControlledAttention> controlled_attentions() {
  static const std::array kAttentions{
      ControlledAttention{"softmax", reweighting::find_attention_form("softmax"), false, colour_of("softmax")},
      ControlledAttention{"QK-LayerNorm", reweighting::find_attention_form("softmax"), true, colour_of("softmax1")},
      ControlledAttention{"ReLU kernel", pure_relu_kernel(), false, colour_of("relu/sum")},
      ControlledAttention{"ELU+1 kernel", reweighting::find_attention_form("elu1_kernel/sum"), false,
                          colour_of("elu1_kernel/sum")}};
  return kAttentions;
}

ControlledRows controlled_rows(const ControlledAttention& attention, const ControlledScores& scores,
                               std::uint64_t seed) {
  Vectors vectors = draw(scores, seed);
  ControlledRows rows;
  rows.score_variance = variance_of_scores(vectors, scores);
  if (attention.layer_norm) {
    for (std::vector<double>* side : {&vectors.query, &vectors.key}) {
      for (auto at = side->begin(); at != side->end(); at += scores.width) normalise({at, at + scores.width});
    }
  }
  const std::vector<double> weights = weights_of(attention.form, vectors, scores);
  for (std::int64_t i = 0; i < scores.queries; ++i) {
    const std::span row = std::span(weights).subspan(i * scores.keys, scores.keys);
    if (std::ranges::all_of(row, [](double p) { return p == 0.0; })) {
      ++rows.dead;
      continue;
    }
    rows.entropy.add(metrics::entropy(metrics::AttentionMap<double>{
                                          .values = row, .samples = 1, .heads = 1, .queries = 1, .keys = scores.keys})
                         .front()
                         .value());
  }
  rows.first_row.assign(weights.begin(), weights.begin() + scores.keys);
  return rows;
}

double normalised_entropy_of(const ControlledRows& rows, std::int64_t keys) {
  return metrics::normalised_entropy(rows.entropy.value(), std::log(static_cast<double>(keys)));
}

metrics::PowerLaw power_law_of(std::span<const ControlledRows> sweep, std::int64_t keys) {
  std::vector<double> variance, normalised;
  for (const ControlledRows& rows : sweep) {
    variance.push_back(rows.score_variance);
    normalised.push_back(normalised_entropy_of(rows, keys));
  }
  return metrics::fit_power_law(variance, normalised);
}

}  // namespace polariscope::experiments
