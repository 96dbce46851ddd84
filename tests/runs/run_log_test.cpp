// The steps of a training, read back as columns.
#include "polariscope/runs/run_log.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/runs/metrics_log.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace polariscope::testing {
namespace {

TEST(RunLog, ReadsBackWhatAMetricsLogWrote) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "metrics.jsonl";
  const double nan = std::numeric_limits<double>::quiet_NaN();
  {
    runs::MetricsLog log(path, -1);
    for (std::int64_t step = 1; step <= 3; ++step) {
      const std::array<runs::NamedNumber, 1> numbers{{{"loss", 1.0 / static_cast<double>(3 * step)}}};
      const std::array<double, 4> heads{0.1 * static_cast<double>(step), 0.3, step == 2 ? nan : 2.0, 4.0};
      const std::array<runs::NamedNumbers, 1> lists{{{"entropy", heads, 2}}};
      log.write(step, numbers, lists);
    }
    log.flush();
  }
  const runs::RunLog log = runs::read_run_log(path);
  EXPECT_EQ(log.step, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(log.number("loss"), (std::vector<double>{1.0 / 3, 1.0 / 6, 1.0 / 9}));
  EXPECT_DOUBLE_EQ(log.layer("entropy", 0)[1], 0.25);  // the mean of its heads
  EXPECT_TRUE(std::isnan(log.layer("entropy", 1)[1]));
  EXPECT_EQ(log.layer("entropy", 1)[2], 3.0);
  EXPECT_THROW(log.number("entropy"), Error);
  EXPECT_THROW(log.layer("entropy", 2), Error);
}

TEST(RunLog, IsCutAfterAStepButKeepsTheFirst) {
  const TemporaryFolder folder;
  write_file(folder.path() / "log",
             "{\"step\":1,\"a\":1,\"b\":[[2]]}\n{\"step\":2,\"a\":3,\"b\":[[4]]}\n{\"step\":3}\n");
  runs::RunLog log = runs::read_run_log(folder.path() / "log");
  runs::cut_after(log, 3);
  EXPECT_EQ(log.steps(), 3U);
  runs::cut_after(log, 2);
  EXPECT_EQ(log.step, (std::vector<double>{1, 2}));
  EXPECT_EQ(log.number("a"), (std::vector<double>{1, 3}));
  EXPECT_EQ(log.layer("b", 0), (std::vector<double>{2, 4}));
  runs::cut_after(log, 0);
  EXPECT_EQ(log.step, std::vector<double>{1});
}

TEST(RunLog, FillsWithNaNWhereAStepLacksANumber) {
  const TemporaryFolder folder;
  write_file(folder.path() / "log",
             "{\"step\":1,\"a\":1}\n{\"step\":2,\"b\":[[2]]}\n{\"step\":3,\"a\":null,\"b\":[[3]]}\n"
             "{\"step\":4,");  // which is still being written
  const runs::RunLog log = runs::read_run_log(folder.path() / "log");
  ASSERT_EQ(log.steps(), 3U);
  EXPECT_EQ(log.number("a")[0], 1.0);
  EXPECT_TRUE(std::isnan(log.number("a")[1]) && std::isnan(log.number("a")[2]));
  EXPECT_TRUE(std::isnan(log.layer("b", 0)[0]));
  EXPECT_EQ(log.layer("b", 0)[2], 3.0);
}

TEST(RunLog, NamesTheLineThatIsNoStep) {
  const TemporaryFolder folder;
  for (const char* bad : {"{\"step\":1}\n{\"loss\":2}\n", "{\"step\":1}\n{\"step\":2,\n", "{\"step\":1}\n[]\n"}) {
    write_file(folder.path() / "log", bad);
    try {
      runs::read_run_log(folder.path() / "log");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
