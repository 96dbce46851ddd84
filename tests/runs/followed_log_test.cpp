// A log that grows, is cut back, replaced or removed while it is read.
#include "polariscope/runs/followed_log.h"

#include "polariscope/base/files.h"
#include "polariscope/runs/metrics_log.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

class FollowedLogTest : public ::testing::Test {
 protected:
  void append(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

  // All that is there now; what was read before is forgotten where it comes again.
  bool read(int most = 1000) {
    return log_.read(
        most, [this] { lines_.clear(), ++begun_anew_; }, [this](std::string_view line) { lines_.emplace_back(line); });
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "metrics.jsonl";
  runs::FollowedLog log_{path_};
  std::vector<std::string> lines_;
  int begun_anew_ = 0;
};

TEST_F(FollowedLogTest, GivesEveryWholeLineOnceAsTheFileGrows) {
  EXPECT_FALSE(read());
  append("one\ntw");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"one"}));
  read();
  append("o\nthree\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(log_.offset(), 14U);
  EXPECT_EQ(begun_anew_, 0);
}

TEST_F(FollowedLogTest, ReadsALongFileInParts) {
  for (int i = 0; i < 10; ++i) append("line\n");
  EXPECT_TRUE(read(4));
  EXPECT_EQ(lines_.size(), 4U);
  EXPECT_TRUE(read(4));
  EXPECT_FALSE(read(4));
  EXPECT_EQ(lines_.size(), 10U);
}

TEST_F(FollowedLogTest, AFileThatWasCutBackIsReadAnew) {
  append("one\ntwo\nthree\n");
  read();
  std::filesystem::resize_file(path_, 8);
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(begun_anew_, 1);
}

TEST_F(FollowedLogTest, OneThatWasCutBackAndGrewBeyondIsReadAnewWhereItIsAnotherNow) {
  append("one\ntwo\nthree\n");
  read();
  std::filesystem::resize_file(path_, 4);
  append("zwei\ndrei\nvier\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"one", "zwei", "drei", "vier"}));
  EXPECT_EQ(begun_anew_, 1);
}

TEST_F(FollowedLogTest, OneThatGrewTheSameLinesAgainGoesOn) {
  append("one\ntwo\nthree\n");
  read();
  std::filesystem::resize_file(path_, 4);
  append("two\nthree\nfour\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"one", "two", "three", "four"}));
  EXPECT_EQ(begun_anew_, 0);
}

TEST_F(FollowedLogTest, AReplacedAndARemovedFileAreForgotten) {
  append("one\ntwo\n");
  read();
  write_file(path_, "1\n2\n3\n4\n5\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"1", "2", "3", "4", "5"}));
  std::filesystem::remove(path_);
  EXPECT_FALSE(read());
  EXPECT_TRUE(lines_.empty());
  append("anew\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{"anew"}));
}

TEST_F(FollowedLogTest, ALineLongerThanWhatIsComparedIsGivenWhole) {
  const std::string line(100'000, 'x');
  append(line + "\n");
  read();
  append("short\n");
  read();
  EXPECT_EQ(lines_, (std::vector<std::string>{line, "short"}));
  EXPECT_EQ(begun_anew_, 0);
}

TEST_F(FollowedLogTest, FollowsAMetricsLogThatIsResumed) {
  const auto write = [this](std::int64_t after, std::int64_t last) {
    runs::MetricsLog log(path_, after);
    for (std::int64_t step = after + 1; step <= last; ++step) {
      const std::array<runs::NamedNumber, 1> loss{{{"loss", 1.0 / static_cast<double>(step + 1)}}};
      log.write(step, loss);
    }
    log.flush();
  };
  write(-1, 50);
  read();
  ASSERT_EQ(lines_.size(), 51U);
  write(30, 40);
  read();
  EXPECT_EQ(lines_.size(), 41U);
  EXPECT_EQ(begun_anew_, 1);
  write(40, 80);
  read();
  EXPECT_EQ(lines_.size(), 81U);
  EXPECT_TRUE(lines_.back().starts_with("{\"step\":80,"));
}

}  // namespace
}  // namespace polariscope::testing
