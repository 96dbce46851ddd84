#include "polariscope/metrics/induction_accuracy.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

using Tokens = std::vector<std::int64_t>;

metrics::Mean accuracy(const Tokens& predictions, const Tokens& targets, std::int64_t length) {
  return metrics::induction_accuracy(std::span<const std::int64_t>(predictions), std::span<const std::int64_t>(targets),
                                     length);
}

TEST(InductionAccuracy, CountsTheLastPositionAlone) {
  // Last tokens 3 = 3, 9 ≠ 6, 1 = 1, 4 = 4; what stands before differs everywhere.
  const metrics::Mean mean = accuracy({0, 3, 0, 9, 0, 1, 0, 4}, {7, 3, 7, 6, 7, 1, 7, 4}, 2);
  EXPECT_DOUBLE_EQ(mean.value(), 0.75);
  EXPECT_EQ(mean.count(), 4);
}

TEST(InductionAccuracy, TakesPredictionsOfTheLastPositionOnly) { EXPECT_EQ(accuracy({5, 6}, {5, 7}, 1).value(), 0.5); }

TEST(InductionAccuracy, OfNoSequencesIsNaN) { EXPECT_TRUE(std::isnan(accuracy({}, {}, 12).value())); }

TEST(InductionAccuracy, RefusesSizesThatDoNotFit) {
  EXPECT_EQ(complaint_of([] {
              accuracy({1, 2, 3}, {1, 2, 3}, 2);
            }),
            "induction accuracy: 3 predictions and 3 targets: both must be whole sequences of 2");
  EXPECT_NE(complaint_of([] { accuracy({1, 2}, {1}, 1); }), "");
  EXPECT_NE(complaint_of([] { accuracy({}, {}, 0); }), "");
}

}  // namespace
}  // namespace polariscope::testing
