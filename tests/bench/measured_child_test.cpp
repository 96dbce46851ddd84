#include "bench/measured_child.h"

#include "support/complaint.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

TEST(MeasuredChild, TellsTimeProcessorsMemoryAndWhatWasSaid) {
  const bench::MeasuredRun run =
      bench::run_measured({"/bin/sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done; echo counted"});
  EXPECT_EQ(run.output, "counted\n");
  EXPECT_GT(run.seconds, 0.0);
  EXPECT_GT(run.processors, 0.0);
  EXPECT_LT(run.processors, 1.5);  // one thread, up to the clocks' ticks
  EXPECT_GT(run.peak_bytes, 100'000);
}

TEST(MeasuredChild, SaysWhatAFailedProcessComplainedOf) {
  const std::string complaint = complaint_of([] {
    bench::run_measured({"/bin/sh", "-c", "echo no such model >&2; exit 3"});
  });
  EXPECT_NE(complaint.find("no such model"), std::string::npos) << complaint;
  EXPECT_NE(complaint_of([] { bench::run_measured({"/nowhere/at/all"}); }).find("/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
