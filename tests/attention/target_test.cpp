// POLARISCOPE_FORCE_TARGET picks the instruction set of a process. It is obeyed once, so each case is a process.
#include "polariscope/attention/internal/kernels.h"
#include "polariscope/base/error.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <string>

namespace polariscope {
namespace {

[[noreturn]] void report_target(const std::string& forced) {
  setenv("POLARISCOPE_FORCE_TARGET", forced.c_str(), 1);
  try {
    std::fputs(attention::attention_target().c_str(), stderr);
  } catch (const Error& error) {
    std::fputs(error.what(), stderr);
    std::exit(2);
  }
  std::exit(0);
}

TEST(ForcedTarget, IsTheOneThatRuns) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const std::string name = hwy::TargetName(target);
    EXPECT_EXIT(report_target(name), testing::ExitedWithCode(0), "^" + name + "$");
  }
}

TEST(ForcedTarget, ThatIsUnknownIsRefusedWithTheKnownOnes) {
  EXPECT_EXIT(report_target("MMX"), testing::ExitedWithCode(2), "MMX.*this processor has .*SCALAR");
}

}  // namespace
}  // namespace polariscope
