#include "polariscope/base/denormals.h"

#include <gtest/gtest.h>

#include <limits>

namespace polariscope {
namespace {

#if defined(__SSE2__) || defined(__aarch64__)

TEST(FlushDenormals, HoldsWhileOneLivesAndNoLonger) {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile float half = 0.5F;
  const auto halved = [&] { return smallest * half; };
  EXPECT_GT(halved(), 0.0F);
  {
    const FlushDenormals flush;
    EXPECT_EQ(halved(), 0.0F);
    {
      const FlushDenormals again;
      EXPECT_EQ(halved(), 0.0F);
    }
    EXPECT_EQ(halved(), 0.0F);
  }
  EXPECT_GT(halved(), 0.0F);
}

#endif

}  // namespace
}  // namespace polariscope
