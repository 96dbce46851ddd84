// The reference against examples worked out by hand: statistics, forms, sinks.
#include "polariscope/attention/oracle/oracle.h"

#include "results.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

constexpr double kRounding = 1e-14;
const double kInfinity = std::numeric_limits<double>::infinity();

// One query whose scores are `z` and whose values are 1, 2, 3, ...
Problem<double> problem_of(const reweighting::AttentionForm& form, const std::vector<double>& z) {
  RandomStream random(0, 0);
  const attention::AttentionShape shape{
      .queries = 1, .keys = static_cast<std::int64_t>(z.size()), .width = 1, .value_width = 1};
  Problem<double> problem = random_problem<double>(form, shape, random);
  problem.scale = 1.0;
  problem.query.row(0, 0, 0)[0] = 1.0;
  for (std::size_t j = 0; j < z.size(); ++j) {
    problem.key.row(0, 0, static_cast<std::int64_t>(j))[0] = z[j];
    problem.value.row(0, 0, static_cast<std::int64_t>(j))[0] = static_cast<double>(j + 1);
  }
  return problem;
}

std::vector<double> weights(const reweighting::AttentionForm& form, const std::vector<double>& z) {
  Problem<double> problem = problem_of(form, z);
  return oracle_p(problem);
}

std::vector<double> weights(std::string_view form, const std::vector<double>& z) {
  return weights(reweighting::find_attention_form(form), z);
}

Forward<double> forward(std::string_view form, const std::vector<double>& z) {
  Problem<double> problem = problem_of(reweighting::find_attention_form(form), z);
  return oracle_forward(problem);
}

double statistic(std::string_view name, std::string_view form, const std::vector<double>& z) {
  return forward(form, z).statistic(name)[0];
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected, double tolerance = kRounding) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t n = 0; n < found.size(); ++n) EXPECT_NEAR(found[n], expected[n], tolerance) << n;
}

// Softmax gives 1/8, 2/8, 5/8.
const std::vector<double> kScores{0.0, std::log(2.0), std::log(5.0)};

TEST(OracleStatistics, OfASoftmaxRow) {
  const double mean = std::log(10.0) / 3;
  const double squares = std::log(2.0) * std::log(2.0) + std::log(5.0) * std::log(5.0);
  const std::vector<std::pair<std::string_view, double>> expected{
      {"entropy", std::log(8.0) - 2.0 / 8 * std::log(2.0) - 5.0 / 8 * std::log(5.0)},
      {"sum_of_squares", 30.0 / 64},
      {"maximum", 5.0 / 8},
      {"first_key", 1.0 / 8},
      {"first_visible_key", 1.0 / 8},
      {"row_sum", 1.0},
      {"log_sum_exp", std::log(8.0)},
      {"logit_mean", mean},
      {"logit_variance", squares / 3 - mean * mean},
      {"logit_maximum", std::log(5.0)},
      // 1, 2, 5 less their mean are -5/3, -2/3, 7/3
      {"skewness", (-125.0 - 8.0 + 343.0) / 81 / std::pow((25.0 + 4.0 + 49.0) / 27, 1.5)}};
  for (const auto& [name, value] : expected) EXPECT_NEAR(statistic(name, "softmax", kScores), value, kRounding) << name;
  Forward<double> row = forward("softmax", kScores);
  EXPECT_EQ(row.argmax[0], 2);
  EXPECT_EQ(row.visible[0], 3);
  EXPECT_EQ(row.non_finite[0], 0);
  EXPECT_EQ(row.shift[0], std::log(5.0));
  EXPECT_NEAR(row.inverse[0], 5.0 / 8, kRounding);
  EXPECT_NEAR(row.mass[0], 8.0 / 5, kRounding);
  EXPECT_NEAR(row.output.packed()[0], (1 * 1 + 2 * 2 + 5 * 3) / 8.0, kRounding);
}

TEST(OracleStatistics, OfUnnormalisedWeightsAreOfTheWeightsAndTheEntropyOfTheirShares) {
  const std::vector<double> z{-1.0, 1.0, 3.0};
  EXPECT_NEAR(statistic("entropy", "relu", z), std::log(4.0) - 0.75 * std::log(3.0), kRounding);
  EXPECT_EQ(statistic("sum_of_squares", "relu", z), 10.0);
  EXPECT_EQ(statistic("maximum", "relu", z), 3.0);
  EXPECT_EQ(statistic("row_sum", "relu", z), 4.0);
  EXPECT_EQ(statistic("row_sum", "relu/sum", z), 4.0);
}

TEST(OracleStatistics, OfSignedWeightsAreOfTheirSizesWhereASignHasNoPlace) {
  const std::vector<double> z{1.0, -3.0};
  EXPECT_NEAR(statistic("entropy", "identity", z), std::log(4.0) - 0.75 * std::log(3.0), kRounding);
  EXPECT_EQ(statistic("maximum", "identity", z), 3.0);
  EXPECT_EQ(forward("identity", z).argmax[0], 1);
  EXPECT_EQ(statistic("row_sum", "identity", z), -2.0);
  EXPECT_EQ(statistic("first_key", "identity/max1", z), 0.5);
  EXPECT_EQ(statistic("logit_maximum", "identity", z), 1.0);
}

TEST(OracleStatistics, OfAUniformRowAreExact) {
  const std::vector<double> z(7, 0.3);
  EXPECT_NEAR(statistic("entropy", "softmax", z), std::log(7.0), kRounding);
  EXPECT_EQ(statistic("skewness", "softmax", z), 0.0);
  EXPECT_EQ(forward("softmax", z).argmax[0], 0);
}

TEST(OracleStatistics, OfARowWithoutAnyWeightAreZero) {
  const std::vector<double> z{-1.0, -2.0};
  for (const std::string_view form : {"relu", "relu/sum", "softpick"}) {
    for (const std::string_view name : {"entropy", "sum_of_squares", "maximum", "row_sum", "skewness"}) {
      EXPECT_EQ(statistic(name, form, z), 0.0) << form << " " << name;
    }
    EXPECT_EQ(forward(form, z).argmax[0], 0) << form;
  }
  EXPECT_EQ(forward("relu/sum", z).inverse[0], 0.0);
}

TEST(OracleStatistics, OfARowWithANaNOrAnInfinityAreNaN) {
  for (const double bad : {std::nan(""), kInfinity, -kInfinity}) {
    for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
      if (form.feature != reweighting::FeatureMap::kNone && bad == -kInfinity) continue;  // a key whose φ is finite
      Forward<double> row = forward(form.name, {0.5, bad, 1.0});
      EXPECT_EQ(row.non_finite[0], 1) << form.name << " " << bad;
      EXPECT_EQ(row.argmax[0], -1) << form.name << " " << bad;
      EXPECT_EQ(row.visible[0], 3) << form.name << " " << bad;
      for (const auto& values : row.floating) {
        for (const double value : values) EXPECT_TRUE(std::isnan(value)) << form.name << " " << bad;
      }
      EXPECT_TRUE(std::isnan(row.output.packed()[0])) << form.name << " " << bad;
    }
  }
}

TEST(OracleForms, TheSoftmaxStaysFiniteAtScoresOfTenThousand) {
  expect_near(weights("softmax", {1e4, 1e4, -1e4}), {0.5, 0.5, 0.0});
  EXPECT_NEAR(statistic("entropy", "softmax", {1e4, 1e4, -1e4}), std::log(2.0), kRounding);
  expect_near(weights("softpick", {1e4, -1e4, 1e4}), {0.5, 0.0, 0.5});
}

TEST(OracleForms, TheProjectionsGiveThePublishedExample) {
  const std::vector<double> z{-2.0, 0.0, 0.5};
  expect_near(weights("sparsemax", z), {0.0, 0.25, 0.75});
  // τ solves (-τ)² + (1/4 - τ)² = 1
  const double threshold = (0.5 - std::sqrt(0.25 + 7.5)) / 4;
  expect_near(weights("entmax", z), {0.0, threshold * threshold, (0.25 - threshold) * (0.25 - threshold)});
  expect_near(weights("entmax", z), {0.0, 0.326, 0.674}, 5e-4);
}

TEST(OracleForms, AnEntmaxBetweenMeetsTheExactOnesAndSoftmaxAtItsEnds) {
  const std::vector<double> z{0.3, -0.8, 1.1, 0.9, -0.1};
  reweighting::AttentionForm form = reweighting::find_attention_form("entmax");
  form.alpha = 1.5 + 1e-9;
  expect_near(weights(form, z), weights("entmax", z), 1e-8);
  form.alpha = 2.0 - 1e-9;
  expect_near(weights(form, z), weights("sparsemax", z), 1e-8);
  form.alpha = 1.0 + 1e-5;
  expect_near(weights(form, z), weights("softmax", z), 1e-4);
}

TEST(OracleForms, EveryEntmaxSumsToOne) {
  RandomStream random(5, 0);
  for (const double alpha : {1.1, 1.5, 1.9, 2.0, 3.0}) {
    for (const double size : {1e-3, 1.0, 1e3}) {
      reweighting::AttentionForm form = reweighting::find_attention_form("entmax");
      form.alpha = alpha;
      std::vector<double> z(40);
      random.fill_normal(z, size);
      double sum = 0.0;
      for (const double p : weights(form, z)) sum += p;
      EXPECT_NEAR(sum, 1.0, 1e-13) << alpha << " " << size;
    }
  }
}

TEST(OracleForms, AClippedSoftmaxReachesZeroAndOne) {
  const double soft = 1 / (1 + std::exp(-1.0));
  expect_near(weights("clipped", {1.0, 0.0}), {1.06 * soft - 0.03, 1.06 * (1 - soft) - 0.03});
  expect_near(weights("clipped", {9.0, 0.0}), {1.0, 0.0});
}

TEST(OracleForms, SoftpickCountsNegativeScoresBelowOnly) {
  const double up = 2.0, down = 0.5;  // e^z - 1 of log 3 and of log 1/2, in size
  expect_near(weights("softpick", {std::log(3.0), std::log(0.5)}), {up / (up + down), 0.0}, 1e-8);  // ε
}

TEST(OracleForms, TransformsActOnTheScores) {
  expect_near(weights("sigmoid_log", {0.0, std::log(2.0)}), {1.0 / 3, 1.0 / 2});
  expect_near(weights("ssmax", {0.0, 1.0}), {1.0 / 3, 2.0 / 3});  // e^(log 2 · z)
  reweighting::AttentionForm form = reweighting::find_attention_form("softcap");
  form.transform_factor = 2.0;
  const double weight = std::exp(2 * std::tanh(0.5));
  expect_near(weights(form, {0.0, 1.0}), {1 / (1 + weight), weight / (1 + weight)});
}

TEST(OracleForms, NormalisersAreWhatTheirNamesSay) {
  expect_near(weights("identity/sum", {1.0, 3.0}), {0.25, 0.75});
  expect_near(weights("identity/max1", {-1.0, -3.0}), {-0.25, -0.75});
  expect_near(weights("identity/max1", {0.25, 0.5}), {0.25, 0.5});
  expect_near(weights("relu/count", {1.0, -3.0}), {0.5, 0.0});
  expect_near(weights("softmax1", {0.0, 0.0, 0.0}), {0.25, 0.25, 0.25});
  expect_near(weights("uniform", {4.0, -1.0}), {0.5, 0.5});
}

TEST(OracleForms, FeatureMapsActOnQueriesAndKeys) {
  // q = 1: elu + 1 gives 2; of the keys 0 and -log 2, 1 and 1/2
  expect_near(weights("elu1_kernel", {0.0, -std::log(2.0)}), {2.0, 1.0});
  expect_near(weights("elu1_kernel/sum", {0.0, -std::log(2.0)}), {2.0 / 3, 1.0 / 3});
  expect_near(weights("relu_kernel/sum", {-1.0, 0.02}), {0.25, 0.75});
}

// A sink is a key of value 0, and also a factor sigmoid(log Σ e^z - s) of the plain softmax.
TEST(OracleSink, IsAnExtraKeyOfTheSoftmaxAndAGateOnIt) {
  constexpr double kSink = 0.7;
  Problem<double> problem = problem_of(reweighting::find_attention_form("sink"), kScores);
  problem.sink = {kSink};
  const std::vector<double> p = oracle_p(problem);
  std::vector<double> longer = kScores;
  longer.push_back(kSink);
  std::vector<double> extra = weights("softmax", longer);
  const double taken = extra.back();
  extra.pop_back();
  expect_near(p, extra);

  const double gate = 1 / (1 + std::exp(kSink - std::log(8.0)));
  Forward<double> row = oracle_forward(problem);
  EXPECT_NEAR(row.output.packed()[0], gate * forward("softmax", kScores).output.packed()[0], kRounding);
  EXPECT_NEAR(row.statistic("row_sum")[0], 1.0 - taken, kRounding);
  EXPECT_NEAR(row.statistic("log_sum_exp")[0], std::log(8.0 + std::exp(kSink)), kRounding);
  EXPECT_NEAR(row.statistic("entropy")[0], statistic("entropy", "softmax", kScores), kRounding);
}

TEST(OracleSink, ThatIsLargeTakesEverything) {
  Problem<double> problem = problem_of(reweighting::find_attention_form("sink"), kScores);
  problem.sink = {1e4};
  expect_near(oracle_p(problem), {0.0, 0.0, 0.0});
  EXPECT_EQ(oracle_forward(problem).statistic("log_sum_exp")[0], 1e4);
}

}  // namespace
}  // namespace polariscope::testing
