// A step's record against the metrics of materialised attention maps.
#include "polariscope/train/monitor.h"

#include "polariscope/base/random.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/frobenius_norm.h"
#include "polariscope/metrics/logits.h"
#include "polariscope/metrics/row_sum.h"
#include "polariscope/reweighting/attention_form.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

namespace polariscope {
namespace {

constexpr std::int64_t kBatch = 3, kHeads = 2, kLength = 7, kWidth = 4;

at::Tensor normal(std::uint64_t stream) {
  at::Tensor tensor = at::empty({kBatch, kHeads, kLength, kWidth}, at::kDouble);
  RandomStream random(31, stream);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data_ptr<double>()[i] = 1.5 * random.normal();
  return tensor;
}

metrics::AttentionMap<double> map_of(const at::Tensor& values, bool causal) {
  return {.values = {values.data_ptr<double>(), static_cast<std::size_t>(values.numel())},
          .samples = kBatch,
          .heads = kHeads,
          .queries = kLength,
          .keys = kLength,
          .causal = causal};
}

void expect_means(const std::vector<double>& found, const std::vector<metrics::Mean>& expected, const char* what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (std::size_t h = 0; h < found.size(); ++h) EXPECT_NEAR(found[h], expected[h].value(), 1e-9) << what << ' ' << h;
}

// A form, and the one whose weights are the same without a normaliser: a record's row sum is taken before it.
struct Pair {
  const char *name, *before;
};

TEST(LayerRecord, IsWhatTheMetricsSayOfTheMaterialisedMap) {
  const at::Tensor query = normal(1), key = normal(2), value = normal(3);
  for (const bool causal : {false, true}) {
    for (const auto& [name, before] :
         {Pair{"softmax", "softmax"}, Pair{"sigmoid", "sigmoid"}, Pair{"sigmoid/sum", "sigmoid"},
          Pair{"elu1_kernel/sum", "elu1_kernel"}, Pair{"identity/max1", "identity"}, Pair{"identity", "identity"}}) {
      SCOPED_TRACE(std::string(name) + (causal ? ", causal" : ""));
      const attention::AttendOptions options{.reweighting = name, .causal = causal};
      const train::LayerRecord record =
          train::layer_record(attention::attend(query, key, value, options, train::monitored_statistics()).statistics);
      const at::Tensor weights = attention::attention_weights(query, key, options).contiguous();
      const metrics::AttentionMap<double> map = map_of(weights, causal);
      const bool negative = reweighting::is_signed(reweighting::find_attention_form(name));
      expect_means(record.entropy, negative ? metrics::abs_entropy(map) : metrics::entropy(map), "entropy");
      expect_means(record.frobenius_norm, metrics::frobenius_norm(map), "norm");
      const at::Tensor sums =
          attention::attention_weights(query, key, {.reweighting = before, .causal = causal}).contiguous();
      expect_means(record.row_sum, metrics::row_sum(map_of(sums, causal)), "row sum");
      std::vector<metrics::Mean> maxima(kHeads), firsts(kHeads);
      for (std::int64_t row = 0; row < kBatch * kHeads * kLength; ++row) {
        const std::int64_t head = row / kLength % kHeads;
        const std::span<const double> weights_of = map.row(row / kLength / kHeads, head, row % kLength);
        double largest = 0.0;
        for (const double w : weights_of) largest = std::max(largest, std::abs(w));
        maxima[head].add(largest);
        firsts[head].add(weights_of[0]);
      }
      expect_means(record.maximum, maxima, "maximum");
      expect_means(record.first_key, firsts, "first key");
    }
    const at::Tensor logits = (at::matmul(query, key.transpose(2, 3)) / std::sqrt(double(kWidth))).contiguous();
    const train::LayerRecord record =
        train::layer_record(attention::attend(query, key, value, {.reweighting = "softmax", .causal = causal},
                                              train::monitored_statistics())
                                .statistics);
    expect_means(record.logit_variance, metrics::logit_variance(map_of(logits, causal)), "logit variance");
  }
}

}  // namespace
}  // namespace polariscope
