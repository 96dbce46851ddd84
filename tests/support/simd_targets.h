// Runs a test's body on every instruction set that the machine has.
#pragma once

#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <functional>

namespace polariscope::testing {

// Calls body() with HWY_DYNAMIC_DISPATCH bound to each target in turn, its name in a scoped trace, and
// gives the choice back to the processor afterwards.
inline void for_each_simd_target(const std::function<void()>& body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    {
      const ::testing::ScopedTrace trace(__FILE__, __LINE__, hwy::TargetName(target));
      body();
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }
}

}  // namespace polariscope::testing
