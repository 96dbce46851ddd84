// What the table says of a form's weights, on random rows of the reference.
#include "results.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace polariscope::testing {
namespace {

class WeightKindOf : public ::testing::TestWithParam<reweighting::AttentionForm> {};

TEST_P(WeightKindOf, TheFormIsWhatItsRowsShow) {
  RandomStream random(7, 0);
  bool negative = false, off_one = false, from_scores = false;
  for (int trial = 0; trial < 200; ++trial) {
    const attention::AttentionShape shape{.queries = 1, .keys = 6, .width = 4, .value_width = 1};
    Problem<double> problem = random_problem<double>(GetParam(), shape, random, Layout::kHeadsFirst, 0, 3.0);
    const std::vector<double> p = oracle_p(problem);
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (const double one : p) {
      negative = negative || one < 0.0;
      from_scores = from_scores || std::abs(one - p[0]) > 1e-6;
    }
    const bool without_weight = sum == 0.0;
    off_one = off_one || (!without_weight && std::abs(sum - 1.0) > 1e-6);
  }
  using reweighting::WeightKind;
  const WeightKind expected = !from_scores ? WeightKind::kUniform
                              : negative   ? WeightKind::kSigned
                              : off_one    ? WeightKind::kUnnormalised
                                           : WeightKind::kNormalised;
  EXPECT_EQ(kind_of(GetParam()), expected) << "the rows are " << name_of(expected);
  EXPECT_EQ(is_signed(GetParam()), negative);
}

INSTANTIATE_TEST_SUITE_P(Table, WeightKindOf,
                         ::testing::ValuesIn(reweighting::attention_forms().begin(),
                                             reweighting::attention_forms().end()),
                         form_name);

}  // namespace
}  // namespace polariscope::testing
