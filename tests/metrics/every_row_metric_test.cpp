// What holds of every metric that is a mean over rows or maps.
#include "maps.h"
#include "polariscope/base/error.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/frobenius_norm.h"
#include "polariscope/metrics/logits.h"
#include "polariscope/metrics/row_sum.h"
#include "polariscope/metrics/sink_rate.h"
#include "polariscope/metrics/sink_score.h"
#include "polariscope/metrics/skewness.h"
#include "polariscope/metrics/sparsity_score.h"

#include <algorithm>
#include <functional>
#include <ostream>

namespace polariscope::testing {
namespace {

struct Metric {
  const char* name;
  int degree;          // grows with this power of the weights' scale: 0 for metrics of shares
  bool positive_only;  // undefined where a weight is negative
  std::function<std::vector<metrics::Mean>(const metrics::AttentionMap<double>&)> of;
  std::function<std::vector<metrics::Mean>(const metrics::AttentionMap<float>&)> of_floats;

  // `function` takes maps of either type.
  template <class F>
  Metric(const char* title, int power, bool positive, const F& function)
      : name(title), degree(power), positive_only(positive), of(function), of_floats(function) {}
};
void PrintTo(const Metric& metric, std::ostream* out) { *out << metric.name; }

template <class T>
std::vector<metrics::Mean> means_of_normalised_entropy(const metrics::AttentionMap<T>& map) {
  std::vector<metrics::Mean> means;
  for (const metrics::NormalisedEntropy& head : metrics::normalised_entropy(map)) means.push_back(head.mean);
  return means;
}

const Metric kMetrics[] = {
    {"entropy", 0, true, [](const auto& map) { return metrics::entropy(map); }},
    {"relative_entropy", 0, true, [](const auto& map) { return metrics::relative_entropy(map); }},
    {"normalised_entropy", 0, true, [](const auto& map) { return means_of_normalised_entropy(map); }},
    {"skewness", 0, true, [](const auto& map) { return metrics::skewness(map); }},
    {"sparsity_score", 0, true, [](const auto& map) { return metrics::sparsity_score(map); }},
    {"abs_entropy", 0, false, [](const auto& map) { return metrics::abs_entropy(map); }},
    {"abs_relative_entropy", 0, false, [](const auto& map) { return metrics::abs_relative_entropy(map); }},
    {"abs_skewness", 0, false, [](const auto& map) { return metrics::abs_skewness(map); }},
    {"abs_sparsity_score", 0, false, [](const auto& map) { return metrics::abs_sparsity_score(map); }},
    {"first_token_share", 0, false, [](const auto& map) { return metrics::first_token_share(map); }},
    {"first_token_ratio_of_sums", 0, false, [](const auto& map) { return metrics::first_token_ratio_of_sums(map); }},
    {"importance_score", 0, false, [](const auto& map) { return metrics::importance_score(map, 0); }},
    {"maximum_weight", 1, false, [](const auto& map) { return metrics::maximum_weight(map); }},
    {"row_sum", 1, false, [](const auto& map) { return metrics::row_sum(map); }},
    {"frobenius_norm", 1, false, [](const auto& map) { return metrics::frobenius_norm(map); }},
    {"logit_variance", 2, false, [](const auto& map) { return metrics::logit_variance(map); }},
};

constexpr std::int64_t kSize = 6;  // queries and keys

class EveryRowMetric : public ::testing::TestWithParam<Metric> {
 protected:
  double of_map(const std::vector<double>& values) const {
    return GetParam().of(rows_of(values, kSize)).front().value();
  }
  static std::vector<double> random_map(std::uint64_t seed) { return random_rows(kSize, kSize, 1.5, seed); }
};

TEST_P(EveryRowMetric, DoesNotDependOnTheOrderOfTheKeysAfterTheFirst) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<double> values = random_map(seed);
    const double before = of_map(values);
    for (std::int64_t row = 0; row < kSize; ++row) {
      std::rotate(values.begin() + row * kSize + 1, values.begin() + row * kSize + 2 + row % 4,
                  values.begin() + (row + 1) * kSize);
    }
    EXPECT_NEAR(of_map(values), before, kRounding * std::max(1.0, std::abs(before))) << "seed " << seed;
  }
}

TEST_P(EveryRowMetric, GrowsWithTheScaleByItsDegree) {
  constexpr double kScale = 0x1p-400;  // exact, and its cube vanishes
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<double> values = random_map(seed);
    const double before = of_map(values);
    for (double& value : values) value *= kScale;
    // An entropy is a difference of logarithms, which are of the size of 300 here.
    const double expected = before * std::pow(kScale, GetParam().degree);
    EXPECT_NEAR(of_map(values), expected, 300 * std::numeric_limits<double>::epsilon() * std::abs(expected))
        << "seed " << seed;
  }
}

TEST_P(EveryRowMetric, IsUndefinedForNegativeWeightsWhereItIsOfPositiveOnes) {
  std::vector<double> values = random_map(1);
  values[kSize * 2 + 3] = -0.1;
  const metrics::Mean mean = GetParam().of(rows_of(values, kSize)).front();
  EXPECT_EQ(mean.left_out(), GetParam().positive_only ? 1 : 0);
  EXPECT_TRUE(std::isfinite(mean.value()));
}

TEST_P(EveryRowMetric, CountsWhatHasWeightsThatAreNotFiniteAndLeavesItOut) {
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    std::vector<double> values = random_map(2);
    values[kSize * 2 + 3] = bad;
    const metrics::Mean mean = GetParam().of(rows_of(values, kSize)).front();
    EXPECT_EQ(mean.left_out(), 1);
    EXPECT_TRUE(mean.count() == 0 || std::isfinite(mean.value()));
  }
}

TEST_P(EveryRowMetric, OfNothingIsNaNWithoutACount) {
  for (const metrics::AttentionMap<double>& map :
       {metrics::AttentionMap<double>{.samples = 0, .heads = 2, .queries = 3, .keys = 3},
        metrics::AttentionMap<double>{.samples = 0, .heads = 2, .queries = 0, .keys = 0}}) {
    const std::vector<metrics::Mean> means = GetParam().of(map);
    ASSERT_EQ(means.size(), 2U);
    EXPECT_EQ(means[1].count(), 0);
    EXPECT_TRUE(std::isnan(means[1].value()));
  }
  EXPECT_TRUE(GetParam().of({}).empty());
}

TEST_P(EveryRowMetric, KeepsHeadsApartAndPoolsSamples) {
  const auto a = random_map(3), b = random_map(4), c = random_map(5), d = random_map(6);
  std::vector<double> values;  // [2 samples, 2 heads]
  for (const auto* part : {&a, &b, &c, &d}) values.insert(values.end(), part->begin(), part->end());
  const std::vector<metrics::Mean> means =
      GetParam().of({.values = values, .samples = 2, .heads = 2, .queries = kSize, .keys = kSize});
  ASSERT_EQ(means.size(), 2U);
  EXPECT_NEAR(means[0].value(), 0.5 * (of_map(a) + of_map(c)), kRounding * 10.0);
  EXPECT_NEAR(means[1].value(), 0.5 * (of_map(b) + of_map(d)), kRounding * 10.0);
}

TEST_P(EveryRowMetric, OfFloatsIsThatOfTheSameNumbersInDouble) {
  const std::vector<double> random = random_map(7);
  const std::vector<float> floats(random.begin(), random.end());
  const std::vector<double> doubles(floats.begin(), floats.end());
  EXPECT_DOUBLE_EQ(GetParam().of_floats(rows_of(floats, kSize)).front().value(), of_map(doubles));
}

TEST_P(EveryRowMetric, RefusesAShapeThatDoesNotFit) {
  const auto values = random_map(8);
  EXPECT_THROW(GetParam().of({.values = values, .samples = 1, .heads = 1, .queries = kSize, .keys = kSize - 1}), Error);
  EXPECT_THROW(GetParam().of({.samples = 1, .heads = -1, .queries = 0, .keys = 0}), Error);
}

TEST_P(EveryRowMetric, DoesNotReadWhatAMaskOrPaddingHides) {
  const std::vector<std::int64_t> lengths{kSize - 1};
  std::vector<double> values = random_map(9);
  const auto masked = [&] {
    return GetParam()
        .of({.values = values,
             .samples = 1,
             .heads = 1,
             .queries = kSize,
             .keys = kSize,
             .causal = true,
             .lengths = lengths})
        .front();
  };
  const double before = masked().value();
  for (std::int64_t query = 0; query < kSize; ++query) {
    for (std::int64_t key = 0; key < kSize; ++key) {
      if (key > query || query == kSize - 1) values[query * kSize + key] = kNaN;
    }
  }
  EXPECT_EQ(masked().value(), before);
  EXPECT_TRUE(std::isfinite(before));
}

INSTANTIATE_TEST_SUITE_P(, EveryRowMetric, ::testing::ValuesIn(kMetrics),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace polariscope::testing
