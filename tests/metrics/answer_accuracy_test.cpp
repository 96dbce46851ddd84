#include "polariscope/metrics/answer_accuracy.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

using Tokens = std::vector<std::int64_t>;

double accuracy(const Tokens& predictions, const Tokens& targets, std::int64_t length) {
  return metrics::answer_accuracy(std::span<const std::int64_t>(predictions), std::span<const std::int64_t>(targets),
                                  length);
}

TEST(AnswerAccuracy, CountsTheLastPositionAlone) {
  // Last tokens 3 = 3, 9 ≠ 6, 1 = 1, 4 = 4; what stands before differs everywhere.
  EXPECT_EQ(accuracy({0, 3, 0, 9, 0, 1, 0, 4}, {7, 3, 7, 6, 7, 1, 7, 4}, 2), 0.75);
}

TEST(AnswerAccuracy, TakesAnswersAlone) { EXPECT_EQ(accuracy({5, 6}, {5, 7}, 1), 0.5); }

TEST(AnswerAccuracy, OfNoSequencesIsNaN) { EXPECT_TRUE(std::isnan(accuracy({}, {}, 12))); }

TEST(AnswerAccuracy, RefusesSizesThatDoNotFit) {
  EXPECT_EQ(complaint_of([] {
              accuracy({1, 2, 3}, {1, 2, 3}, 2);
            }),
            "accuracy of answers: 3 predictions and 3 targets: both must be whole sequences of 2");
  EXPECT_NE(complaint_of([] { accuracy({1, 2}, {1}, 1); }), "");
  EXPECT_NE(complaint_of([] { accuracy({}, {}, 0); }), "");
}

}  // namespace
}  // namespace polariscope::testing
