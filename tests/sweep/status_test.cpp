// What people see of a sweep: the status and the table, to the letter.
#include "polariscope/sweep/status.h"

#include "polariscope/sweep/export.h"
#include "polariscope/sweep/internal/store.h"
#include "polariscope/sweep/made_by.h"
#include "polariscope/sweep/rows.h"
#include "support/temporary_folder.h"
#include "sweeps.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

namespace polariscope {
namespace {

class SweepStatusTest : public ::testing::Test {
 protected:
  const std::filesystem::path& folder() const { return folder_.path(); }

  std::unique_ptr<sweep::Store> store(const std::string& toml, sweep::Shard shard = {}) const {
    return std::make_unique<sweep::Store>(folder(), sweep::Grid::parse(toml, "grid.toml", testing::kFakeOptions),
                                          shard);
  }
  std::string status() const { return sweep::in_words(sweep::read_status(folder()), "sweep"); }

 private:
  testing::TemporaryFolder folder_;
};

// These runs are made up: nothing says what made them.
std::string without_made_by(const std::string& csv) {
  std::string heading;
  for (const std::string_view name : sweep::kMadeBy) heading += fmt::format(",{}", name);
  std::string text = csv;
  text.erase(text.find(heading), heading.size());
  const std::string nothing = std::string(sweep::kMadeBy.size(), ',') + "\n";
  for (std::size_t end = 0; (end = text.find(nothing, end)) != std::string::npos; ++end) {
    text.replace(end, nothing.size(), "\n");
  }
  return text;
}

TEST_F(SweepStatusTest, ShowsStatesFailuresByReasonAndTheTimeLeft) {
  const auto sweep = store("x = [0.1, 2]\nseed = { from = 1, to = 5 }\n");
  sweep->record({.run = 1, .metrics = R"({"loss":0.25})", .seconds = 30});
  sweep->record({.run = 2, .metrics = R"({"loss":0.3,"note":"a \"b\", c"})", .seconds = 50});
  sweep->record({.run = 3, .failure = "killed by SIGSEGV", .seconds = 1});
  sweep->record({.run = 4, .failure = "returned NaN or infinity: loss", .metrics = R"({"loss":null})", .seconds = 1});
  sweep->record({.run = 5, .failure = "killed by SIGSEGV", .seconds = 1});
  sweep->start(6);
  sweep->start(7);
  EXPECT_EQ(status(),
            "state     runs\n"
            "done         2\n"
            "failed       3\n"
            "running      2\n"
            "waiting      3\n"
            "\n"
            " runs  first  failure\n"
            "    2  00003  killed by SIGSEGV\n"
            "    1  00004  returned NaN or infinity: loss\n"
            "\n"
            "2 runs at once, 40.0 s each: about 1 min 20 s left\n"
            "to try failed runs again: polariscope sweep retry sweep\n"
            "results: polariscope sweep export sweep\n");
  EXPECT_EQ(without_made_by(sweep::sweep_as_csv(folder())),
            "run,state,x,seed,loss,note,seconds,failure\n"
            "1,done,0.1,1,0.25,,30,\n"
            "2,done,0.1,2,0.3,\"a \"\"b\"\", c\",50,\n"
            "3,failed,0.1,3,,,1,killed by SIGSEGV\n"
            "4,failed,0.1,4,,,1,returned NaN or infinity: loss\n"
            "5,failed,0.1,5,,,1,killed by SIGSEGV\n"
            "6,running,2,1,,,,\n"
            "7,running,2,2,,,,\n"
            "8,waiting,2,3,,,,\n"
            "9,waiting,2,4,,,,\n"
            "10,waiting,2,5,,,,\n");
}

TEST_F(SweepStatusTest, CountsAKilledSchedulersRunsAsWaitingAndSaysHowToGoOn) {
  store("seed = [1, 2, 3]")->start(2);
  EXPECT_EQ(status(),
            "state     runs\n"
            "done         0\n"
            "failed       0\n"
            "running      0\n"
            "waiting      3\n"
            "\n"
            "nobody is at work: the command that began the sweep goes on with it\n"
            "results: polariscope sweep export sweep\n");
}

// What is printed to be typed again is typed as one.
TEST_F(SweepStatusTest, QuotesAFolderThatAShellWouldTakeForTwo) {
  const auto sweep = store("seed = [1, 2]");
  sweep->record({.run = 1, .failure = "killed by SIGSEGV", .seconds = 1});
  const std::string words = sweep::in_words(sweep::read_status(folder()), "Anna's sweep #1");
  for (const char* command : {"sweep retry 'Anna'\\''s sweep #1'\n", "sweep export 'Anna'\\''s sweep #1'\n"}) {
    EXPECT_NE(words.find(command), std::string::npos) << words;
  }
}

TEST_F(SweepStatusTest, MergesShardsAndCountsThoseThatHaveNotBegun) {
  const std::string toml = "seed = { from = 1, to = 9 }";
  const std::vector<int> first = sweep::runs_of_shard(9, {1, 3}), third = sweep::runs_of_shard(9, {3, 3});
  store(toml, {1, 3})->record({.run = first[0], .metrics = R"({"loss":1})", .seconds = 2});
  const auto at_work = store(toml, {3, 3});
  at_work->record({.run = third[0], .metrics = R"({"gain":2})", .seconds = 4});
  at_work->record({.run = third[1], .failure = "no result"});
  at_work->start(third[2]);
  const sweep::SweepStatus status = sweep::read_status(folder());
  EXPECT_EQ(status.shards, 3);
  EXPECT_EQ(status.begun, 2);
  EXPECT_EQ(status.at_work, 1);
  EXPECT_EQ(status.tally.done, 2);
  EXPECT_EQ(status.tally.waiting, 5);
  EXPECT_EQ(status.mean_seconds, 3.0);
  EXPECT_NE(sweep::in_words(status, "sweep").find("2 of 3 shards have begun\n"), std::string::npos);
  const std::string csv = without_made_by(sweep::sweep_as_csv(folder()));
  EXPECT_TRUE(csv.starts_with("run,state,seed,loss,gain,seconds,failure\n")) << csv;
  EXPECT_NE(csv.find(fmt::format("{},done,{},,2,4,\n", third[0], third[0])), std::string::npos) << csv;
}

TEST_F(SweepStatusTest, GivesTheRowsOfAllShardsAsValues) {
  const std::string toml = "seed = { from = 1, to = 4 }";
  const std::vector<int> second = sweep::runs_of_shard(4, {2, 2});
  store(toml, {1, 2});
  store(toml, {2, 2})->record({.run = second[0], .metrics = R"({"loss":1})", .seconds = 2});
  const std::vector<sweep::SweepRow> rows = sweep::read_rows(folder());
  ASSERT_EQ(rows.size(), 4U);
  for (int run = 1; run <= 4; ++run) EXPECT_EQ(rows[static_cast<std::size_t>(run) - 1].run, run);
  const sweep::SweepRow& done = rows[static_cast<std::size_t>(second[0]) - 1];
  EXPECT_EQ(done.state, "done");
  EXPECT_EQ(done.settings, fmt::format(R"({{"seed":{}}})", second[0]));
  EXPECT_EQ(done.metrics, R"({"loss":1})");
  EXPECT_EQ(done.seconds, 2.0);
}

TEST_F(SweepStatusTest, ShowsTheMostFrequentFailuresOfMany) {
  const auto sweep = store("seed = { from = 1, to = 20 }");
  for (int run = 1; run <= 20; ++run) {
    sweep->record({.run = run, .failure = fmt::format("no result: {}", std::max(run, 6))});
  }
  const std::string text = status();
  EXPECT_NE(text.find("    6  00001  no result: 6\n"), std::string::npos) << text;
  EXPECT_NE(text.find("and 5 other failures\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace polariscope
