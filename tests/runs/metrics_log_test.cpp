#include "polariscope/runs/metrics_log.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::SmallDisk;
using testing::TemporaryFolder;

class MetricsLogTest : public ::testing::Test {
 protected:
  // What a log of this one line holds.
  std::string line_of(const std::vector<runs::NamedNumber>& numbers, const std::vector<runs::NamedNumbers>& lists) {
    runs::MetricsLog(path_, -1).write(3, numbers, lists);
    return read_file(path_);
  }
  std::string resumed(const std::string& contents, std::int64_t last_step) {
    write_file(path_, contents);
    const runs::MetricsLog log(path_, last_step);
    return read_file(path_);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "metrics.jsonl";
};

TEST_F(MetricsLogTest, ALineIsAnObjectOfNumbersAndLists) {
  const std::vector<double> values = {0.1, 2.0, -3e-300, std::nan(""), 1e22, INFINITY};
  EXPECT_EQ(line_of({{"loss", 0.5}, {"norm", -INFINITY}},
                    {{"layers", values}, {"heads", values, 3}, {"none", {}}, {"no rows", {}, 3}}),
            R"({"step":3,"loss":0.5,"norm":null,"layers":[0.1,2,-3e-300,null,1e+22,null],)"
            R"("heads":[[0.1,2,-3e-300],[null,1e+22,null]],"none":[],"no rows":[]})"
            "\n");
  EXPECT_EQ(line_of({}, {}), "{\"step\":3}\n");
}

TEST_F(MetricsLogTest, NamesAreEscaped) {
  const std::string name = "a \"b\" \\ \n\x01 σ";
  const std::string line = line_of({{name, 1.0}}, {});
  EXPECT_EQ(nlohmann::json::parse(line), nlohmann::json({{"step", 3}, {name, 1}}));
}

TEST_F(MetricsLogTest, NumbersReadBackToTheSameBits) {
  std::mt19937_64 random(4);
  std::vector<double> values = {std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::max(), -0.0};
  while (values.size() < 2000) {
    const auto number = std::bit_cast<double>(random());
    if (std::isfinite(number)) values.push_back(number);
  }
  const auto read = nlohmann::json::parse(line_of({}, {{"values", values}}))["values"];
  ASSERT_EQ(read.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    // "-0" is a whole number to this reader, which has no negative zero.
    ASSERT_EQ(read[i].get<double>(), values[i]);
  }
}

TEST_F(MetricsLogTest, RefusesNumbersThatFillNoRows) {
  const std::vector<double> values(5);
  runs::MetricsLog log(path_, -1);
  EXPECT_EQ(complaint_of([&] {
              log.write(0, {}, std::vector<runs::NamedNumbers>{{"heads", values, 3}});
            }),
            "metrics: \"heads\" has 5 numbers: give rows of 3");
  log.write(0, {});
  log.flush();
  EXPECT_EQ(read_file(path_), "{\"step\":0}\n") << "the refused line left a part";
}

TEST_F(MetricsLogTest, ThatLacksANeededStepIsRefusedAndLeftAsItIs) {
  const std::string lines = "{\"step\":1}\n{\"step\":3}\n{\"step\"";
  write_file(path_, lines);
  EXPECT_EQ(complaint_of([&] { runs::MetricsLog(path_, 4, 4); }),
            path_.string() + " lacks steps: expected those up to 4, after which the run goes on, found those up to 3");
  EXPECT_EQ(complaint_of([&] { runs::MetricsLog(path_, 0, 0); }),
            path_.string() + " lacks steps: expected those up to 0, after which the run goes on, found none");
  EXPECT_EQ(read_file(path_), lines);
  EXPECT_EQ(complaint_of([&] { runs::MetricsLog(path_, 4, 3); }), "");
}

TEST_F(MetricsLogTest, ResumesAfterTheLastLineUpToAStep) {
  const std::string lines = "{\"step\":0}\n{\"step\":9,\"loss\":0.5}\n{\"step\":10,\"loss\":0.25}\n";
  EXPECT_EQ(resumed(lines, 10), lines);
  EXPECT_EQ(resumed(lines, 9), "{\"step\":0}\n{\"step\":9,\"loss\":0.5}\n");
  EXPECT_EQ(resumed(lines, 8), "{\"step\":0}\n");
  EXPECT_EQ(resumed(lines, -1), "");
  write_file(path_, lines);
  runs::MetricsLog(path_, 9).write(10, std::vector<runs::NamedNumber>{{"loss", 0.125}});
  EXPECT_EQ(read_file(path_), "{\"step\":0}\n{\"step\":9,\"loss\":0.5}\n{\"step\":10,\"loss\":0.125}\n");
}

TEST_F(MetricsLogTest, WhereverAKillCutTheFileItsWholeLinesAreKept) {
  const std::string lines = "{\"step\":0}\n{\"step\":1,\"loss\":[1,2]}\n{\"step\":2}\n";
  for (std::size_t size = 0; size <= lines.size(); ++size) {
    const std::string cut = lines.substr(0, size);
    ASSERT_EQ(resumed(cut, 5), cut.substr(0, cut.rfind('\n') + 1)) << size;
  }
}

TEST_F(MetricsLogTest, ALineThatIsNoneOfOursAndWhatFollowsAreCut) {
  const std::string good = "{\"step\":0}\n";
  for (const std::string bad : {"\n", "{\"step\":}\n", "{\"step\":1\n", "{\"step\":1.5}\n", "{\"loss\":1}\n",
                                "{\"step\":99999999999999999999}\n", "{\"step\":1}{\n"}) {
    EXPECT_EQ(resumed(good + bad + good, 5), good) << bad;
  }
  EXPECT_EQ(resumed(good + std::string(5000, '\0'), 5), good);
}

// Were it read from its beginning, the hole would be its first line, which is none of ours, and all would be cut.
TEST_F(MetricsLogTest, ResumesALogOfAnySizeFromItsEnd) {
  constexpr std::uint64_t kHole = std::uint64_t{5} << 30;
  write_file(path_, "");
  std::filesystem::resize_file(path_, kHole);
  {
    std::ofstream lines(path_, std::ios::app);
    lines << '\n';
    for (int step = 1; step <= 20'000; ++step) lines << "{\"step\":" << step << ",\"loss\":0.5}\n";
  }
  const std::uint64_t whole = std::filesystem::file_size(path_);
  { const runs::MetricsLog log(path_, 20'000); }
  EXPECT_EQ(std::filesystem::file_size(path_), whole);
  { const runs::MetricsLog log(path_, 5'000); }  // far before the end
  EXPECT_EQ(std::filesystem::file_size(path_),
            whole - 15'000 * std::string("{\"step\":10000,\"loss\":0.5}\n").size() + 5'000 - 1);
}

TEST_F(MetricsLogTest, AFullDiskLeavesWholeLines) {
  const SmallDisk disk(16);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const auto path = disk.path() / "metrics.jsonl";
  runs::MetricsLog log(path, -1);
  log.write(0, {});
  log.flush();
  const std::string complaint = complaint_of([&] {
    for (int step = 1; step < 5000; ++step) log.write(step, {});
    log.flush();
  });
  EXPECT_NE(complaint.find("No space left on device"), std::string::npos) << complaint;
  EXPECT_EQ(read_file(path), "{\"step\":0}\n");
}

}  // namespace
}  // namespace polariscope
