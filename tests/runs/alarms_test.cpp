// The alarms of a run that was stopped: what the checkpoint knew, and nothing twice.
#include "polariscope/runs/alarms.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kTokens = 20, kSteps = 500;
const runs::MapShape kShape = runs::map_shape(1, 2, kTokens, false);

// Both heads collapse, again and again.
void advance(runs::Alarms& alarms, int from, int to) {
  Progress nobody;
  for (int step = from; step <= to; ++step) {
    const auto head = [&](int at) {
      return runs::HeadReading{.entropy = 0.1,
                               .frobenius_norm = 0.96 * std::sqrt(kTokens),
                               .logit_variance = at % 140 > 80 ? 1.0 : 1e3 * std::exp(0.02 * (at % 140))};
    };
    alarms.step(step, 1.0, std::vector{head(step), head(step + 9)}, nobody);
  }
}

TEST(AlarmsOfARun, AreTheSameBytesFromWhateverStepItGoesOn) {
  const TemporaryFolder whole;
  {
    runs::Alarms alarms(whole.path(), kShape, 0);
    advance(alarms, 1, kSteps);
    ASSERT_GE(alarms.count(), 5);
  }
  const std::string expected = read_file(whole.path() / "alarms.jsonl");
  for (const int cut : {1, 60, 61, 250, 499}) {
    const TemporaryFolder folder;
    std::vector<double> state;
    {
      runs::Alarms alarms(folder.path(), kShape, 0);
      advance(alarms, 1, cut);
      state = alarms.state();
      advance(alarms, cut + 1, kSteps - 100);  // after the checkpoint, and lost with the process
    }
    std::ofstream(folder.path() / "alarms.jsonl", std::ios::app) << "{\"step\":1";  // half a line
    runs::Alarms alarms(folder.path(), kShape, state, 0);
    EXPECT_EQ(alarms.state(), state);
    advance(alarms, cut + 1, kSteps);
    alarms.flush();
    EXPECT_EQ(read_file(folder.path() / "alarms.jsonl"), expected) << cut;
    EXPECT_EQ(alarms.count(), std::count(expected.begin(), expected.end(), '\n')) << cut;
    EXPECT_EQ(expected.find(fmt::format("{{\"step\":{},", alarms.first_step())), 0U) << cut;
  }
}

TEST(AlarmsOfARun, KeepWhatTheyToldWhenTheRunGoesBack) {
  const TemporaryFolder folder;
  Progress nobody;
  std::vector<double> before, after;
  std::string expected;
  {
    runs::Alarms alarms(folder.path(), kShape, 0);
    advance(alarms, 1, 20);
    before = alarms.state();
    advance(alarms, 21, 70);
    ASSERT_GT(alarms.count(), 0);
    const std::int64_t told = alarms.count();
    alarms.go_back({.step = 70, .back_to = 20, .number = 1, .most = 3, .rate = 0.5}, before, nobody);
    EXPECT_EQ(alarms.count(), told);
    after = alarms.state();
    EXPECT_TRUE(std::equal(after.begin() + 2, after.end(), before.begin() + 2)) << "the detector is as it was";
    alarms.flush();
    expected = read_file(folder.path() / "alarms.jsonl");
    advance(alarms, 21, 70);
    EXPECT_GT(alarms.count(), told) << "and gives the alarm once more";
  }
  EXPECT_TRUE(expected.ends_with(
      "{\"step\":70,\"kind\":\"rescue\",\"back_to\":20,\"rate\":0.5,\"skipped\":0,\"sentence\":\"rescue 1 of 3: back "
      "to step 20, and on at 0.5 of the learning rate\"}\n"))
      << expected;
  const runs::Alarms again(folder.path(), kShape, after, 1);
  EXPECT_EQ(read_file(folder.path() / "alarms.jsonl"), expected) << "its lines of later steps than 20 are kept";
}

TEST(AlarmsOfARun, RefuseAStateThatIsNotTheirs) {
  const TemporaryFolder folder;
  EXPECT_NE(complaint_of([&] { runs::Alarms(folder.path(), kShape, std::vector<double>{}, 0); }), "");
  EXPECT_NE(complaint_of([&] { runs::Alarms(folder.path(), kShape, std::vector<double>(40), 0); }), "");
}

}  // namespace
}  // namespace polariscope::testing
