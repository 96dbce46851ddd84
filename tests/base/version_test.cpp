#include "polariscope/base/version.h"

#include "polariscope/base/parallel.h"

#include <gtest/gtest.h>

#include <regex>

namespace polariscope {
namespace {

TEST(Version, IsThreeNumbers) { EXPECT_TRUE(std::regex_match(version(), std::regex("[0-9]+\\.[0-9]+\\.[0-9]+"))); }

TEST(Version, TheCommitIsAShortHashOrUnknown) {
  EXPECT_TRUE(std::regex_match(commit(), std::regex("unknown|[0-9a-f]{7,40}(\\+changes)?"))) << commit();
}

TEST(Version, TheMachineNamesItsProcessors) {
  EXPECT_NE(machine().find(", " + std::to_string(processor_count()) + " processor"), std::string::npos) << machine();
}

}  // namespace
}  // namespace polariscope
