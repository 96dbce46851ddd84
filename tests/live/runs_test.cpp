// Folders as runs: which are, how they do, and their curves while they are written.
#include "live/made_run.h"
#include "polariscope/base/file_lock.h"
#include "polariscope/live/find_runs.h"
#include "polariscope/live/rate_meter.h"
#include "polariscope/live/run_state.h"
#include "polariscope/live/watched_run.h"
#include "polariscope/live/watcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <thread>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& place) {
  std::vector<std::string> names;
  for (const live::FoundRun& run : live::find_runs(place)) names.push_back(run.name);
  return names;
}

TEST(FindRuns, ARunIsItselfAndAFolderHoldsThoseBelow) {
  const TemporaryFolder folder;
  const fs::path sweep = folder.path() / "sweep";
  for (const char* name : {"00002", "00000", "00001"}) MadeRun(sweep / "runs" / name);
  MadeRun(sweep / ".hidden");
  MadeRun(sweep / "a" / "b" / "c" / "too-deep");
  fs::create_directory_symlink(sweep / "runs" / "00000", sweep / "linked");
  EXPECT_EQ(names_in(sweep), (std::vector<std::string>{"sweep/runs/00000", "sweep/runs/00001", "sweep/runs/00002"}));
  EXPECT_EQ(names_in(sweep / "runs" / "00001"), (std::vector<std::string>{"00001"}));
  EXPECT_EQ(names_in(folder.path() / "sweep/"), names_in(sweep));
  EXPECT_TRUE(names_in(folder.path() / "nothing").empty());
  // A scheduler's own config.toml makes its folder no run.
  const std::vector<std::string> runs = names_in(sweep);
  write_file(sweep / "config.toml", "# polariscope sweep\n");
  EXPECT_EQ(names_in(sweep), runs);
}

TEST(RunState, SaysWhetherARunIsAtWorkAndHowItEnded) {
  const TemporaryFolder folder;
  const MadeRun run(folder.path() / "run");
  const auto state = [&] { return live::run_state(run.folder, live::wall_clock()); };
  EXPECT_EQ(state().phase, live::RunPhase::kStopped);
  EXPECT_FALSE(state().last);
  {
    const auto lock = FileLock::take(run.folder / ".lock");
    run.add_steps(1, 3);
    EXPECT_EQ(state().phase, live::RunPhase::kRunning);
    EXPECT_EQ(state().last.value().step, 3);
    EXPECT_NEAR(state().written, live::wall_clock(), 10.0);
  }
  EXPECT_EQ(state().phase, live::RunPhase::kStopped);
  write_file(run.folder / "result.json", "{\"diverged\":false,\"stopped_by_alarm\":false}");
  EXPECT_EQ(state().phase, live::RunPhase::kFinished);
  write_file(run.folder / "result.json", "{\"diverged\":false,\"stopped_by_alarm\":true}");
  EXPECT_EQ(state().phase, live::RunPhase::kStoppedByAlarm);
  write_file(run.folder / "result.json", "{\"diverged\":true}");
  EXPECT_EQ(state().phase, live::RunPhase::kDiverged);
  write_file(run.folder / "result.json", "[1, 2");
  EXPECT_EQ(state().phase, live::RunPhase::kFinished);
  fs::remove_all(run.folder);
  EXPECT_EQ(state().phase, live::RunPhase::kGone);
}

TEST(RunState, ALogOfAnotherProgramIsAtWorkAsLongAsItGrows) {
  const TemporaryFolder folder;
  write_file(folder.path() / "metrics.jsonl", step_line(1));
  EXPECT_EQ(live::run_state(folder.path(), live::wall_clock()).phase, live::RunPhase::kRunning);
  EXPECT_EQ(live::run_state(folder.path(), live::wall_clock() + 1000).phase, live::RunPhase::kStopped);
}

TEST(RunState, ALogWithoutStepsIsSaidToBeSo) {
  const TemporaryFolder folder;
  write_file(folder.path() / "metrics.jsonl", "no step\n");
  EXPECT_NE(live::run_state(folder.path(), live::wall_clock()).note.find("no line that is a step"), std::string::npos);
}

TEST(RunState, ItsConfigTellsHowManyStepsItTakes) {
  const TemporaryFolder folder;
  const MadeRun run(folder.path() / "run");
  const auto config = live::run_config(run.folder);
  EXPECT_EQ(config.at("task"), "induction");
  EXPECT_EQ(live::planned_steps(config), 8);  // 2 epochs of 4 batches, the last of them smaller
  EXPECT_EQ(live::planned_steps({{"steps", "2300"}, {"batch", "10"}}), 2300);
  EXPECT_EQ(live::planned_steps({}), 0);
  EXPECT_EQ(live::planned_steps({{"epochs", "1e300"}, {"training-sequences", "1e300"}, {"batch", "1"}}), 0);
  write_file(run.folder / "config.toml", "not = [toml");
  EXPECT_TRUE(live::run_config(run.folder).empty());
}

TEST(RateMeter, TellsStepsASecondOfTheLastMinute) {
  live::RateMeter meter;
  EXPECT_EQ(meter.rate(), 0.0);
  meter.see(1000.0, 10);
  EXPECT_EQ(meter.rate(), 0.0);
  meter.see(1002.0, 30);
  EXPECT_DOUBLE_EQ(meter.rate(), 10.0);
  meter.see(1002.0, 30);
  for (int second = 1; second <= 300; ++second) meter.see(1002.0 + second, 30 + 2 * second);
  EXPECT_NEAR(meter.rate(), 2.0, 1e-9);
  meter.see(1400.0, 5);  // resumed from a checkpoint
  EXPECT_EQ(meter.rate(), 0.0);
  meter.see(1401.0, 9);
  EXPECT_DOUBLE_EQ(meter.rate(), 4.0);
}

// What a run's curves say to whoever asks now.
std::size_t steps_of(live::WatchedRun& run) {
  return run.with_curves(live::wall_clock(), [](const live::RunCurves& curves) { return curves.history.buckets(); });
}
std::uint64_t epoch_of(live::WatchedRun& run) {
  return run.with_curves(live::wall_clock(), [](const live::RunCurves& curves) { return curves.epoch; });
}
void read_all(live::WatchedRun& run) {
  while (run.read(live::wall_clock())) {
  }
}

TEST(WatchedRun, ReadsItsLogOnlyWhereSomebodyWantsIt) {
  const TemporaryFolder folder;
  const MadeRun made(folder.path() / "run");
  made.add_steps(1, 450);
  live::WatchedRun run(made.folder, "run");
  EXPECT_FALSE(run.read(live::wall_clock()));
  EXPECT_EQ(steps_of(run), 0U);
  EXPECT_TRUE(run.read(live::wall_clock())) << "a part of it";
  const double share = run.with_curves(live::wall_clock(), [](const auto& curves) { return curves.read; });
  EXPECT_GT(share, 0.0);
  EXPECT_LT(share, 1.0);
  read_all(run);
  EXPECT_EQ(steps_of(run), 450U);
  // Two minutes later nobody looks any more: the curves are forgotten, and read again for the next who comes.
  const std::uint64_t epoch = epoch_of(run);
  EXPECT_FALSE(run.read(live::wall_clock() + 1000));
  EXPECT_EQ(steps_of(run), 0U);
  EXPECT_NE(epoch_of(run), epoch);
  read_all(run);
  EXPECT_EQ(steps_of(run), 450U);
}

TEST(WatchedRun, AResumedRunIsReadAnewUnderAnotherEpoch) {
  const TemporaryFolder folder;
  const MadeRun made(folder.path() / "run");
  made.add_steps(1, 100);
  made.add_alarm(90, "one");
  live::WatchedRun run(made.folder, "run");
  run.look(live::wall_clock());
  EXPECT_EQ(run.reading()->alarm_count, 1);
  steps_of(run);
  read_all(run);
  const std::uint64_t epoch = epoch_of(run);
  std::string kept;
  for (int step = 1; step <= 40; ++step) kept += step_line(step);
  fs::resize_file(made.folder / "metrics.jsonl", kept.size());
  fs::resize_file(made.folder / "alarms.jsonl", 0);
  made.add_steps(41, 60);
  read_all(run);
  run.look(live::wall_clock());
  EXPECT_EQ(steps_of(run), 60U);
  EXPECT_GT(epoch_of(run), epoch);
  EXPECT_EQ(run.reading()->state.last.value().step, 60);
  EXPECT_EQ(run.reading()->alarm_count, 0);
}

TEST(WatchedRun, ThatWasRescuedGoesOnFromTheStepItWentBackTo) {
  const TemporaryFolder folder;
  const MadeRun made(folder.path() / "run");
  made.add_steps(1, 100);
  made.add_alarm(100, "one");
  live::WatchedRun run(made.folder, "run");
  run.look(live::wall_clock());
  steps_of(run);
  read_all(run);
  made.add_rescue(100, 50);
  std::string kept;
  for (int step = 1; step <= 50; ++step) kept += step_line(step);
  fs::resize_file(made.folder / "metrics.jsonl", kept.size());
  made.add_steps(51, 54);
  read_all(run);
  run.look(live::wall_clock());
  EXPECT_EQ(steps_of(run), 54U);
  EXPECT_EQ(run.reading()->alarm_count, 1);
  EXPECT_EQ(run.reading()->rescue_count, 1);
  ASSERT_EQ(run.reading()->alarms.size(), 2U);
  EXPECT_FALSE(run.reading()->alarms.front().is_rescue());
  EXPECT_EQ(run.reading()->alarms.back().back_to, 50);
}

TEST(WatchedRun, KeepsTheLastAlarmsAndCountsAll) {
  const TemporaryFolder folder;
  const MadeRun made(folder.path() / "run");
  write_file(made.folder / "alarms.jsonl", "garbage\n{\"step\":1}\n");
  for (int i = 1; i <= 600; ++i) made.add_alarm(i, "a sentence");
  live::WatchedRun run(made.folder, "run");
  run.look(live::wall_clock());
  EXPECT_EQ(run.reading()->alarm_count, 600);
  ASSERT_EQ(run.reading()->alarms.size(), live::WatchedRun::kMostAlarms);
  EXPECT_EQ(run.reading()->alarms.back().step, 600);
  EXPECT_EQ(run.reading()->alarms.back().head, 2);
}

// Until it holds, for at most a minute of a busy machine.
bool comes_true(const std::function<bool()>& what) {
  for (int i = 0; i < 600; ++i) {
    if (what()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

TEST(Watcher, FindsRunsThatAppearAndFollowsThoseThatGrow) {
  const TemporaryFolder folder;
  const MadeRun first(folder.path() / "runs" / "first");
  first.add_steps(1, 10);
  live::Watcher watcher({folder.path() / "runs"});
  ASSERT_EQ(watcher.runs().size(), 1U);
  const auto run = watcher.runs()[0];
  EXPECT_EQ(watcher.find(run->id()), run);
  EXPECT_EQ(watcher.find("0123456789abcdef"), nullptr);
  EXPECT_EQ(run->reading()->state.last.value().step, 10) << "its first look is over";
  EXPECT_TRUE(comes_true([&] { return steps_of(*run) == 10; }));
  first.add_steps(11, 30);
  EXPECT_TRUE(comes_true([&] { return steps_of(*run) == 30 && run->reading()->state.last->step == 30; }));
  const MadeRun second(folder.path() / "runs" / "second");
  EXPECT_TRUE(comes_true([&] { return watcher.runs().size() == 2; }));
}

}  // namespace
}  // namespace polariscope::testing
