#include "polariscope/base/memory.h"

#include "support/complaint.h"

#include <gtest/gtest.h>

namespace polariscope {
namespace {

TEST(Memory, IsAskedForInWordsBeforeTheSystemEndsTheProcess) {
  require_memory(1.0, "one number");
  const std::string sentence = testing::complaint_of([] { require_memory(2e18, "4 rows of 1e18 numbers"); });
  EXPECT_TRUE(sentence.starts_with("4 rows of 1e18 numbers need 2e+09 GB of memory, this machine has ")) << sentence;
  EXPECT_TRUE(sentence.ends_with(": choose smaller ones")) << sentence;
}

}  // namespace
}  // namespace polariscope
