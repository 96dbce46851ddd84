#include "polariscope/base/random.h"

#include "polariscope/base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope {
namespace {

std::array<std::uint32_t, 4> block_of(RandomStream stream) {
  return {stream.bits(), stream.bits(), stream.bits(), stream.bits()};
}

// The vectors that the Random123 library publishes for philox4x32 with 10 rounds (kat_vectors):
// counter = {block, stream}, key = seed, each as two words, low word first.
TEST(RandomStream, GivesThePublishedVectorsOfPhilox4x32With10Rounds) {
  constexpr auto kOnes = std::numeric_limits<std::uint64_t>::max();
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(block_of(RandomStream(0, 0, 0)), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(block_of(RandomStream(kOnes, kOnes, kOnes)), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(block_of(RandomStream(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88)),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, ContinuesWithTheNextBlock) {
  RandomStream stream(7, 3);
  for (int i = 0; i < 4; ++i) stream.bits();
  EXPECT_EQ(block_of(stream), block_of(RandomStream(7, 3, 1)));
}

TEST(RandomStream, GivesTheSameNumbersForAnyThreadCountAndOrder) {
  constexpr int kStreams = 64;
  const auto draw = [](int threads, bool backwards) {
    std::vector<double> numbers(kStreams * 9);
    parallel_for(kStreams, threads, [&](std::int64_t i) {
      const auto stream = static_cast<std::size_t>(backwards ? kStreams - 1 - i : i);
      RandomStream random(42, stream);
      random.fill_normal(std::span(numbers).subspan(stream * 9, 9), 0.1);
    });
    return numbers;
  };
  const auto alone = draw(1, false);
  EXPECT_EQ(draw(2, false), alone);
  EXPECT_EQ(draw(7, true), alone);
}

TEST(RandomStream, DiffersBetweenSeedsAndBetweenStreams) {
  EXPECT_NE(block_of(RandomStream(1, 0)), block_of(RandomStream(2, 0)));
  EXPECT_NE(block_of(RandomStream(1, 0)), block_of(RandomStream(1, 1)));
  EXPECT_NE(block_of(RandomStream(1, 0)), block_of(RandomStream(0, 1)));
}

// Tolerances of moments: five standard errors of the estimate over n = 10^6 independent draws.
constexpr int kDraws = 1'000'000;
const double kRootDraws = std::sqrt(double{kDraws});

TEST(RandomStream, UniformNumbersAreInsideTheUnitIntervalWithItsMoments) {
  RandomStream random(11, 0);
  double sum = 0.0, squares = 0.0, smallest = 1.0, largest = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform();
    smallest = std::min(smallest, value);
    largest = std::max(largest, value);
    sum += value;
    squares += value * value;
  }
  EXPECT_GT(smallest, 0.0);
  EXPECT_LT(largest, 1.0);
  EXPECT_LT(smallest, 1e-4);
  EXPECT_GT(largest, 1.0 - 1e-4);
  EXPECT_NEAR(sum / kDraws, 0.5, 5.0 * std::sqrt(1.0 / 12.0) / kRootDraws);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3.0, 5.0 * std::sqrt(4.0 / 45.0) / kRootDraws);
}

TEST(RandomStream, NormalNumbersHaveTheMomentsOfTheStandardNormal) {
  RandomStream random(12, 0);
  double m1 = 0.0, m2 = 0.0, m3 = 0.0, m4 = 0.0, neighbours = 0.0, previous = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = random.normal();
    m1 += z;
    m2 += z * z;
    m3 += z * z * z;
    m4 += z * z * z * z;
    neighbours += z * previous;  // the two numbers of a Box-Muller pair are independent, too
    previous = z;
  }
  // Standard deviations of z, z^2, z^3, z^4 and z z': 1, sqrt 2, sqrt 15, sqrt 96, 1.
  EXPECT_NEAR(m1 / kDraws, 0.0, 5.0 / kRootDraws);
  EXPECT_NEAR(m2 / kDraws, 1.0, 5.0 * std::sqrt(2.0) / kRootDraws);
  EXPECT_NEAR(m3 / kDraws, 0.0, 5.0 * std::sqrt(15.0) / kRootDraws);
  EXPECT_NEAR(m4 / kDraws, 3.0, 5.0 * std::sqrt(96.0) / kRootDraws);
  EXPECT_NEAR(neighbours / kDraws, 0.0, 5.0 / kRootDraws);
}

TEST(RandomStream, NeighbouringStreamsAreUncorrelated) {
  double products = 0.0;
  for (std::uint64_t i = 0; i < 100'000; ++i)
    products += RandomStream(13, i).normal() * RandomStream(13, i + 1).normal();
  EXPECT_NEAR(products / 1e5, 0.0, 5.0 / std::sqrt(1e5));
}

TEST(RandomStream, BelowIsEvenOverItsRange) {
  RandomStream random(14, 0);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.below(7));
  double chi_squared = 0.0;
  for (const int count : counts) chi_squared += (count - 1e4) * (count - 1e4) / 1e4;
  EXPECT_LT(chi_squared, 22.5);  // 0.999 quantile with 6 degrees of freedom
  EXPECT_EQ(random.below(1), 0U);
}

TEST(RandomStream, BelowIsUnbiasedWhereTheRangeDoesNotDivideTheWord) {
  // Taking the rest of a 64-bit word modulo 3 * 2^62 would give the first third of the range half of all draws.
  RandomStream random(15, 0);
  constexpr std::uint64_t kCount = std::uint64_t{3} << 62;
  int first_third = 0;
  for (int i = 0; i < 30'000; ++i) first_third += random.below(kCount) < kCount / 3 ? 1 : 0;
  EXPECT_NEAR(first_third, 10'000, 5.0 * std::sqrt(30'000.0 * 2.0 / 9.0));
}

TEST(RandomStream, FillNormalScalesTheNumbersOfNormal) {
  RandomStream filled(16, 2), drawn(16, 2);
  std::vector<double> values(5);
  filled.fill_normal(values, 0.25);
  for (const double value : values) EXPECT_EQ(value, 0.25 * drawn.normal());
}

}  // namespace
}  // namespace polariscope
