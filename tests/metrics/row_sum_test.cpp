#include "polariscope/metrics/row_sum.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

TEST(RowSum, IsSignedAndHasTheSpreadOfRows) {
  // Sums 1 and 3: mean 2, deviation 1.
  const metrics::Mean mean = metrics::row_sum(rows_of(std::vector<double>{2, -1, 1, 2}, 2)).front();
  EXPECT_DOUBLE_EQ(mean.value(), 2.0);
  EXPECT_DOUBLE_EQ(mean.standard_deviation(), 1.0);
  EXPECT_EQ(mean.count(), 2);
}

}  // namespace
}  // namespace polariscope::testing
