// Who sees whom, and what of shared key heads, biases and columns, in the reference.
#include "polariscope/attention/oracle/oracle.h"
#include "results.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

// Uniform attention of `queries` over `keys`.
Problem<double> problem_of(std::int64_t queries, std::int64_t keys) {
  RandomStream random(1, 0);
  const attention::AttentionShape shape{.queries = queries, .keys = keys, .width = 2, .value_width = 2};
  return random_problem<double>(reweighting::find_attention_form("uniform"), shape, random);
}

// A row of text a query, x for a key that it sees.
std::vector<std::string> pattern(Problem<double>& problem) {
  const std::vector<double> p = oracle_p(problem);
  std::vector<std::string> rows;
  for (std::int64_t i = 0; i < problem.rows(); ++i) {
    rows.emplace_back();
    for (std::int64_t j = 0; j < problem.shape.keys; ++j) rows.back() += p[i * problem.shape.keys + j] > 0 ? 'x' : '.';
  }
  return rows;
}

using Rows = std::vector<std::string>;

TEST(OracleMask, WithoutOneEveryQuerySeesEveryKey) {
  Problem<double> problem = problem_of(2, 3);
  EXPECT_EQ(pattern(problem), (Rows{"xxx", "xxx"}));
}

TEST(OracleMask, CausalRowsEndAtTheLastKeyWhateverTheirNumber) {
  Problem<double> more_keys = problem_of(2, 4);
  more_keys.causal = true;
  EXPECT_EQ(pattern(more_keys), (Rows{"xxx.", "xxxx"}));
  Problem<double> more_queries = problem_of(4, 2);
  more_queries.causal = true;
  EXPECT_EQ(pattern(more_queries), (Rows{"..", "..", "x.", "xx"}));
}

TEST(OracleMask, AWindowReachesBackAndUnlessCausalForward) {
  Problem<double> problem = problem_of(4, 4);
  problem.window = 2;
  EXPECT_EQ(pattern(problem), (Rows{"xx..", "xxx.", ".xxx", "..xx"}));
  problem.causal = true;
  EXPECT_EQ(pattern(problem), (Rows{"x...", "xx..", ".xx.", "..xx"}));
  problem.window = 1;
  EXPECT_EQ(pattern(problem), (Rows{"x...", ".x..", "..x.", "...x"}));
}

TEST(OracleMask, AShorterSequenceHasItsOwnEnd) {
  Problem<double> problem = problem_of(3, 4);
  problem.key_lengths = {2};
  EXPECT_EQ(pattern(problem), (Rows{"xx..", "xx..", "xx.."}));
  problem.causal = true;
  EXPECT_EQ(pattern(problem), (Rows{"....", "x...", "xx.."}));
  problem.window = 1;
  EXPECT_EQ(pattern(problem), (Rows{"....", "x...", ".x.."}));
  problem.key_lengths = {0};
  EXPECT_EQ(pattern(problem), (Rows{"....", "....", "...."}));
}

TEST(OracleMask, ARowWithoutVisibleKeysIsZero) {
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    SCOPED_TRACE(form.name);
    Problem<double> problem = problem_of(1, 3);
    problem.form = form;
    problem.key_lengths = {0};
    if (form.name == "sink") problem.sink = {0.25};
    Forward<double> row = oracle_forward(problem);
    for (const double x : row.output.packed()) EXPECT_EQ(x, 0.0);
    for (std::size_t n = 0; n < row.floating.size(); ++n) {
      if (kStatistics<double>[n].name == "log_sum_exp") continue;
      EXPECT_EQ(row.floating[n][0], 0.0) << kStatistics<double>[n].name;
    }
    if (has_log_sum_exp(form)) {
      const double sink = form.name == "sink" ? 0.25 : 0.0;
      const double expected =
          form.normaliser == reweighting::Normaliser::kSumAndSink ? sink : -std::numeric_limits<double>::infinity();
      EXPECT_EQ(row.statistic("log_sum_exp")[0], expected);
    }
    EXPECT_EQ(row.argmax[0], -1);
    EXPECT_EQ(row.visible[0], 0);
    EXPECT_EQ(row.non_finite[0], 0);
    EXPECT_EQ(row.shift[0], 0.0);
    EXPECT_EQ(row.inverse[0], 0.0);
    EXPECT_EQ(row.mass[0], 0.0);
  }
}

TEST(OracleMask, TheFirstKeyCountsOnlyWhereItIsVisible) {
  Problem<double> problem = problem_of(4, 4);
  problem.window = 2;
  problem.causal = true;
  const Forward<double> rows = oracle_forward(problem);
  EXPECT_EQ(rows.statistic("first_key"), (std::vector<double>{1.0, 0.5, 0.0, 0.0}));
  EXPECT_EQ(rows.statistic("first_visible_key"), (std::vector<double>{1.0, 0.5, 0.5, 0.5}));
  EXPECT_EQ(rows.argmax, (std::vector<std::int32_t>{0, 0, 1, 2}));
  EXPECT_EQ(rows.visible, (std::vector<std::int32_t>{1, 2, 2, 2}));
}

TEST(OracleColumns, AreMeansOverTheQueriesThatSeeTheKey) {
  Problem<double> problem = problem_of(2, 4);
  problem.causal = true;
  problem.key_lengths = {3};
  std::vector<double> means(4);
  attention::oracle_attend_columns(problem.input(), means.data());
  // The two queries see two and three keys.
  const std::vector<double> expected{(1.0 / 2 + 1.0 / 3) / 2, (1.0 / 2 + 1.0 / 3) / 2, 1.0 / 3, 0.0};
  for (int j = 0; j < 4; ++j) EXPECT_NEAR(means[j], expected[j], 1e-15) << j;
}

TEST(OracleHeads, ThatShareAKeyHeadReadItAndSumItsGradients) {
  RandomStream random(2, 0);
  const attention::AttentionShape grouped{
      .batch = 2, .heads = 6, .key_heads = 2, .queries = 3, .keys = 4, .width = 2, .value_width = 3};
  Problem<double> problem =
      random_problem<double>(reweighting::find_attention_form("softmax"), grouped, random, Layout::kRowsFirst, 1);
  // The same with every head's own copy of its keys and values.
  Problem<double> copied = problem;
  copied.shape.key_heads = 6;
  copied.key = Tensor<double>(2, 6, 4, 2);
  copied.value = Tensor<double>(2, 6, 4, 3);
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 6; ++h) {
      for (int j = 0; j < 4; ++j) {
        std::copy_n(problem.key.row(b, h / 3, j), 2, copied.key.row(b, h, j));
        std::copy_n(problem.value.row(b, h / 3, j), 3, copied.value.row(b, h, j));
      }
    }
  }
  EXPECT_EQ(oracle_forward(problem).output.packed(), oracle_forward(copied).output.packed());
  const Upstream<double> upstream = random_upstream(problem, random);
  Backward<double> shared = oracle_backward(problem, upstream);
  Backward<double> own = oracle_backward(copied, upstream);
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 2; ++h) {
      for (int d = 0; d < 2; ++d) {
        double sum = 0.0;
        for (int member = 0; member < 3; ++member) sum += own.key.row(b, 3 * h + member, 1)[d];
        EXPECT_NEAR(shared.key.row(b, h, 1)[d], sum, 1e-14);
      }
    }
  }
}

TEST(OracleBias, AndSlopesAreAddedToTheScores) {
  Problem<double> problem = problem_of(2, 3);
  problem.form = reweighting::find_attention_form("identity");
  problem.scale = 0.0;
  problem.bias = Tensor<double>(1, 1, 2, 3);
  double next = 1.0;
  problem.bias.for_each([&](double& x) { x = next++; });
  problem.slopes = {0.5};
  // Queries stand beside keys 1 and 2.
  EXPECT_EQ(oracle_p(problem), (std::vector<double>{0.5, 2.0, 2.5, 3.0, 4.5, 6.0}));
}

TEST(OracleBias, BroadcastsByStridesOfZero) {
  RandomStream random(3, 0);
  const attention::AttentionShape shape{
      .batch = 2, .heads = 2, .key_heads = 2, .queries = 2, .keys = 3, .width = 2, .value_width = 1};
  Problem<double> problem = random_problem<double>(reweighting::find_attention_form("softmax"), shape, random);
  std::vector<double> row{0.3, -0.2, 0.9};
  attention::AttentionInput<double> input = problem.input();
  input.bias = {row.data(), 0, 0, 0};
  std::vector<double> p(2 * 2 * 2 * 3);
  attention::oracle_weights(input, p.data());
  add_bias(problem, random);
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 2; ++i) std::copy(row.begin(), row.end(), problem.bias.row(b, h, i));
    }
  }
  EXPECT_EQ(p, oracle_p(problem));
}

}  // namespace
}  // namespace polariscope::testing
