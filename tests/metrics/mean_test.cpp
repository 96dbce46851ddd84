#include "polariscope/metrics/mean.h"

#include "maps.h"

namespace polariscope::testing {
namespace {

metrics::Mean mean_of_all(const std::vector<double>& values) {
  metrics::Mean mean;
  for (const double value : values) mean.add(value);
  return mean;
}

TEST(Mean, GivesMeanPopulationDeviationAndCount) {
  // Mean 5; squared deviations 9, 1, 1, 9: 20/4 = 5.
  const metrics::Mean mean = mean_of_all({2.0, 4.0, 6.0, 8.0});
  EXPECT_DOUBLE_EQ(mean.value(), 5.0);
  EXPECT_DOUBLE_EQ(mean.standard_deviation(), std::sqrt(5.0));
  EXPECT_EQ(mean.count(), 4);
  EXPECT_EQ(mean.left_out(), 0);
}

TEST(Mean, OfOneValueHasNoDeviationAndOfNoneNoValue) {
  EXPECT_EQ(mean_of_all({3.0}).value(), 3.0);
  EXPECT_EQ(mean_of_all({3.0}).standard_deviation(), 0.0);
  EXPECT_TRUE(std::isnan(metrics::Mean().value()));
  EXPECT_TRUE(std::isnan(metrics::Mean().standard_deviation()));
  EXPECT_EQ(metrics::Mean().count(), 0);
}

TEST(Mean, LeavesOutWhatIsNotFiniteAndCountsIt) {
  const metrics::Mean mean = mean_of_all({1.0, kNaN, 3.0, kInfinity, -kInfinity});
  EXPECT_DOUBLE_EQ(mean.value(), 2.0);
  EXPECT_EQ(mean.count(), 2);
  EXPECT_EQ(mean.left_out(), 3);
}

TEST(Mean, KeepsItsDeviationFarFromZero) {
  // Raw sums of squares would lose the 1 beside 10^18.
  EXPECT_DOUBLE_EQ(mean_of_all({1e9 - 1.0, 1e9 + 1.0}).standard_deviation(), 1.0);
}

TEST(Mean, AddingMeansIsAddingTheirValues) {
  const std::vector<double> values{1.0, kNaN, -4.0, 2.5, 9.0, 7.0};
  const metrics::Mean all = mean_of_all(values);
  for (std::size_t cut = 0; cut <= values.size(); ++cut) {
    metrics::Mean first = mean_of_all({values.begin(), values.begin() + cut});
    first.add(mean_of_all({values.begin() + cut, values.end()}));
    EXPECT_NEAR(first.value(), all.value(), kRounding);
    EXPECT_NEAR(first.standard_deviation(), all.standard_deviation(), kRounding);
    EXPECT_EQ(first.count(), all.count());
    EXPECT_EQ(first.left_out(), 1);
  }
}

}  // namespace
}  // namespace polariscope::testing
