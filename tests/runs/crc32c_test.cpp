#include "polariscope/runs/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace polariscope {
namespace {

TEST(Crc32c, AgreesWithTheExamplesOfRfc3720) {
  std::string rising, falling;
  for (char byte = 0; byte < 32; ++byte) {
    rising += byte;
    falling.insert(falling.begin(), byte);
  }
  EXPECT_EQ(runs::crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(runs::crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(runs::crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(runs::crc32c(falling), 0x113FDB5CU);
  EXPECT_EQ(runs::crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(runs::crc32c(""), 0U);
}

}  // namespace
}  // namespace polariscope
