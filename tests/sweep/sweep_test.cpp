// The scheduler in this process: what it records, and what it refuses.
#include "polariscope/sweep/sweep.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/sweep/export.h"
#include "polariscope/sweep/internal/store.h"
#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/made_by.h"
#include "polariscope/sweep/retry.h"
#include "polariscope/sweep/rows.h"
#include "polariscope/sweep/status.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"
#include "sweeps.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <thread>

namespace polariscope {
namespace {

namespace fs = std::filesystem;

sweep::Grid grid_of(const std::string& toml) { return sweep::Grid::parse(toml, "grid.toml", testing::kFakeOptions); }

class Sweep : public ::testing::Test {
 protected:
  const fs::path& folder() const { return folder_.path(); }

  sweep::SweepEnd run(const std::string& toml, sweep::Shard shard = {}) {
    sweep::LocalWorkers workers({.program = {FAKE_TRAIN}, .limit = 30.0}, 2);
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    return sweep::run_sweep(grid_of(toml), folder(), shard, workers, board);
  }

  std::string refusal(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "not refused";
  }

 private:
  testing::TemporaryFolder folder_;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(Sweep, AFailedRunNeverStopsTheRest) {
  const sweep::SweepEnd end = run("behaviour = ['well', 'crash', 'nan', 'exit', 'nothing']\nx = 2\nseed = [1, 2]");
  EXPECT_EQ(end.tally.done, 2);
  EXPECT_EQ(end.tally.failed, 8);
  EXPECT_EQ(end.tally.runs(), 10);
  EXPECT_FALSE(end.interrupted);
}

TEST_F(Sweep, WhatIsDoneIsNotDoneAgainAndWhatFailedIsAfterRetry) {
  const std::string toml = "behaviour = ['well', 'nan']\nx = 2\nseed = [1, 2]";
  run(toml);
  EXPECT_EQ(run(toml).tally.failed, 2);
  EXPECT_EQ(sweep::retry_failed(folder()), 2);
  EXPECT_TRUE(has(sweep::sweep_as_csv(folder()), "waiting,nan"));
  EXPECT_FALSE(fs::exists(sweep::run_path(folder(), 3) / "result.json"));
  EXPECT_EQ(run(toml).tally.failed, 2);
  for (int number = 1; number <= 4; ++number) EXPECT_FALSE(fs::exists(sweep::run_path(folder(), number) / "repeated"));
  EXPECT_EQ(sweep::retry_failed(folder()), 2);
  EXPECT_EQ(sweep::retry_failed(folder()), 0);
}

TEST_F(Sweep, TakesTheResultOfARunWhoseEndNobodySaw) {
  const std::string toml = "x = [1, 2]\nseed = 1";
  run(toml);
  sweep::Store(folder(), grid_of(toml), {}).start(1);
  fs::remove(sweep::run_path(folder(), 1) / "process");
  write_file(sweep::run_path(folder(), 1) / "result.json", R"({"square": 1234})");
  EXPECT_EQ(run(toml).tally.done, 2);
  EXPECT_TRUE(has(sweep::sweep_as_csv(folder()), ",1234,"));
  EXPECT_FALSE(fs::exists(sweep::run_path(folder(), 1) / "process"));
}

TEST_F(Sweep, AFolderOfAnotherGridIsRefusedWithWhatDiffers) {
  run("x = [1, 2]\nseed = 1");
  const std::string sentence = refusal([&] { run("x = [1, 3]\nseed = 1"); });
  EXPECT_TRUE(has(sentence, "x = [1.0, 2.0]") && has(sentence, "x = [1.0, 3.0]")) << sentence;
  EXPECT_TRUE(has(refusal([&] { run("x = [1, 2]\nseed = 1", {1, 2}); }), "in 2 shards"));
  EXPECT_TRUE(has(refusal([&] { run("seed = 1\nx = [1, 2]"); }), "seed = 1")) << "the order of keys numbers the runs";
  EXPECT_EQ(run("# the same\nx = { from = 1, to = 2 }\nseed = [1]").tally.done, 2);
}

// Names that SQLite takes for URIs, or that begin as options and shells' shorthands do.
TEST_F(Sweep, ItsFolderHasAnyName) {
  const fs::path here = fs::current_path();
  fs::current_path(folder());
  for (const char* name : {"file:x", "file:x?mode=memory", ":memory:", "a b#c%41", "-x", "~"}) {
    sweep::LocalWorkers workers({.program = {FAKE_TRAIN}, .limit = 30.0}, 2);
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    EXPECT_EQ(sweep::run_sweep(grid_of("behaviour = 'well'\nseed = [1, 2]"), name, {}, workers, board).tally.done, 2)
        << name;
    EXPECT_TRUE(fs::exists(folder() / name / "runs.sqlite")) << name;
    EXPECT_EQ(sweep::read_rows(name).size(), 2U) << name;
  }
  fs::current_path(here);
}

// Results on a read-only disk, copied there with or without the files that SQLite leaves beside the database.
TEST_F(Sweep, IsReadFromAReadOnlyDisk) {
  testing::SmallDisk disk(1024);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  run("behaviour = 'well'\nseed = [1, 2]");
  const fs::path whole = disk.path() / "whole", alone = disk.path() / "50% #1?";
  fs::copy(folder(), whole, fs::copy_options::recursive);
  fs::create_directory(alone);
  fs::copy(folder() / "runs.sqlite", alone);
  disk.make_read_only();
  for (const fs::path& place : {whole, alone}) {
    EXPECT_EQ(sweep::read_rows(place).size(), 2U) << place;
    EXPECT_EQ(sweep::read_status(place).tally.done, 2) << place;
    EXPECT_EQ(sweep::sweep_as_csv(place), sweep::sweep_as_csv(folder())) << place;
  }
}

// A folder made anew at the old place would take runs that no database counts.
TEST_F(Sweep, WhoseFolderIsMovedEndsAndGoesOnWhereItIs) {
  const fs::path before = folder() / "before", after = folder() / "after";
  const std::string grid = "behaviour = 'well'\nmilliseconds = 200\nseed = [1, 2, 3, 4]";
  const auto run_at = [&](const fs::path& place) {
    sweep::LocalWorkers workers({.program = {FAKE_TRAIN}, .limit = 30.0}, 1);
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    return sweep::run_sweep(grid_of(grid), place, {}, workers, board).tally.done;
  };
  std::thread mover([&] {
    while (!fs::exists(before / "runs" / "00001" / "result.json")) std::this_thread::yield();
    fs::rename(before, after);
  });
  const std::string sentence = refusal([&] { run_at(before); });
  mover.join();
  EXPECT_TRUE(has(sentence, "was moved or removed while its sweep ran")) << sentence;
  EXPECT_FALSE(fs::exists(before / "runs.sqlite"));
  EXPECT_EQ(run_at(after), 4);
  EXPECT_EQ(sweep::read_status(after).tally.failed, 0);
}

TEST_F(Sweep, AFolderWithSomethingElseIsRefused) {
  write_file(folder() / "cat.jpg", "miaow");
  EXPECT_TRUE(has(refusal([&] { run("seed = 1"); }), "not empty"));
  EXPECT_TRUE(has(refusal([&] { sweep::retry_failed(folder()); }), "holds no sweep"));
  EXPECT_TRUE(has(refusal([&] { sweep::sweep_as_csv(folder()); }), "holds no sweep"));
}

TEST_F(Sweep, ADatabaseThatIsNoneIsRefused) {
  run("seed = 1\nx = 1");
  write_file(folder() / "runs.sqlite", "this is not a database, but a text that is long enough to be taken for one");
  EXPECT_TRUE(has(refusal([&] { run("seed = 1\nx = 1"); }), "not a database"));
}

TEST_F(Sweep, ASecondSchedulerIsRefusedInOneSentence) {
  run("seed = [1, 2]\nx = 1");
  const auto first = sweep::lock_for_writing(folder() / "runs.sqlite");
  for (const std::string& sentence :
       {refusal([&] { run("seed = [1, 2]\nx = 1"); }), refusal([&] { sweep::retry_failed(folder()); })}) {
    EXPECT_TRUE(has(sentence, "another scheduler is at work")) << sentence;
    EXPECT_FALSE(has(sentence, "\n")) << sentence;
  }
}

TEST_F(Sweep, ShardsTogetherAreTheWhole) {
  const std::string toml = "seed = { from = 1, to = 7 }\nx = 2";
  for (int index = 1; index <= 3; ++index) run(toml, {index, 3});
  const std::string csv = sweep::sweep_as_csv(folder());
  EXPECT_EQ(std::ranges::count(csv, '\n'), 8);
  for (int number = 1; number <= 7; ++number) EXPECT_TRUE(has(csv, std::to_string(number) + ",done,")) << csv;
  EXPECT_TRUE(has(refusal([&] { run(toml); }), "in 3 shards"));
  EXPECT_TRUE(has(refusal([&] { run(toml, {1, 2}); }), "in 3 shards"));
}

TEST_F(Sweep, TheDatabaseIsReadWhileItIsWritten) {
  const sweep::Grid grid = grid_of("seed = [1, 2]\nx = 1");
  sweep::Store store(folder(), grid, {});
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open_v2((folder() / "runs.sqlite").c_str(), &reader, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  sqlite3_stmt* rows = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(reader, "SELECT state FROM runs", -1, &rows, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_step(rows), SQLITE_ROW);  // in the midst of reading
  store.start(1);
  store.record({.run = 1,
                .metrics = R"({"loss": 0.1, "seed": 7, "loss/2": 3, "threads": 9})",
                .seconds = 1.5,
                .made_by = R"({"program_version": "0.1.0", "program": "0123456789abcdef", "threads": "1"})"});
  sqlite3_finalize(rows);
  sqlite3_close(reader);
  // A metric with a setting's name has a column of its own.
  EXPECT_EQ(sweep::sweep_as_csv(folder()),
            "run,state,seed,x,loss,result_seed,loss/2,result_threads,seconds,failure,"
            "program_version,program_commit,program,machine,simd_target,threads,libtorch,begun\n"
            "1,done,1,1,0.1,7,3,9,1.5,,0.1.0,,0123456789abcdef,,,1,,\n"
            "2,waiting,2,1,,,,,,,,,,,,,,\n");
}

// A database as version 1 of it was, whose rows do not say what made them.
void make_older(const fs::path& database) {
  sqlite3* older = nullptr;
  ASSERT_EQ(sqlite3_open(database.c_str(), &older), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(older,
                         "DROP VIEW runs; ALTER TABLE run DROP COLUMN made_by; PRAGMA user_version = 1;"
                         "CREATE VIEW runs AS SELECT run, state, seconds, failure FROM run",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(older);
  sqlite3_close(older);
}

TEST_F(Sweep, ItsRowsSayWhichProgramMadeThem) {
  run("behaviour = ['well', 'nothing']\nx = 1\nseed = 1");
  const std::string program = runs::program_fingerprint(FAKE_TRAIN);
  for (const sweep::SweepRow& row : sweep::read_rows(folder())) EXPECT_EQ(sweep::program_of(row.made_by), program);
  const std::string csv = sweep::sweep_as_csv(folder());
  EXPECT_EQ(std::ranges::count(csv, '\n'), 3);
  EXPECT_TRUE(has(csv, program)) << csv;
}

TEST_F(Sweep, GoesOnWithADatabaseOfAnOlderVersion) {
  const std::string toml = "x = 1\nseed = [1, 2]";
  run(toml);
  make_older(folder() / "runs.sqlite");
  EXPECT_EQ(sweep::read_rows(folder()).at(1).made_by, "{}");
  EXPECT_EQ(sweep::read_status(folder()).tally.done, 2);
  EXPECT_TRUE(sweep::sweep_as_csv(folder()).starts_with("run,state,seconds,failure\n"));
  EXPECT_EQ(run(toml).tally.done, 2);
  EXPECT_TRUE(has(sweep::sweep_as_csv(folder()), "run,state,x,seed,square,"));
  EXPECT_FALSE(fs::exists(sweep::run_path(folder(), 1) / "repeated"));
}

TEST_F(Sweep, PutsBackWhatAnotherProgramMadeWithAllThatItLeft) {
  const std::string toml = "x = 1\nseed = [1, 2, 3, 4]";
  const std::string program = runs::program_fingerprint(FAKE_TRAIN);
  EXPECT_EQ(sweep::put_back_others(folder(), program), 0);  // there is no sweep
  run(toml);
  EXPECT_EQ(sweep::put_back_others(folder(), program), 0);
  {
    sweep::Store store(folder(), grid_of(toml), {});
    store.record({.run = 1, .made_by = R"({"program": "another"})"});
    store.record({.run = 2, .made_by = "{\"program\": \"another + " + program + "\"}"});
    store.start(3);
  }
  EXPECT_EQ(sweep::put_back_others(folder(), program), 2);
  for (const int number : {1, 2, 3}) EXPECT_FALSE(fs::exists(sweep::run_path(folder(), number))) << number;
  EXPECT_TRUE(fs::exists(sweep::run_path(folder(), 4)));
  EXPECT_EQ(sweep::read_status(folder()).tally.waiting, 3);
  EXPECT_EQ(run(toml).tally.done, 4);
  EXPECT_EQ(sweep::put_back_others(folder(), program), 0);
}

TEST_F(Sweep, PutsBackAllOfAnOlderVersion) {
  const std::string toml = "x = 1\nseed = [1, 2]";
  run(toml);
  make_older(folder() / "runs.sqlite");
  EXPECT_EQ(sweep::put_back_others(folder(), runs::program_fingerprint(FAKE_TRAIN)), 2);
  EXPECT_EQ(run(toml).tally.done, 2);
}

TEST_F(Sweep, ItsStatusNamesTheProgramsIfThereWereSeveral) {
  const std::string toml = "x = 1\nseed = [1, 2, 3]";
  run(toml);
  EXPECT_FALSE(has(in_words(sweep::read_status(folder()), folder()), "programs"));
  sweep::Store(folder(), grid_of(toml), {})
      .record(
          {.run = 2, .made_by = R"({"program": "another", "program_version": "0.0.9", "program_commit": "abc1234"})"});
  const std::string words = in_words(sweep::read_status(folder()), folder());
  EXPECT_TRUE(has(words, "made by 2 programs: ")) << words;
  EXPECT_TRUE(has(words, "1 run by 0.0.9 (abc1234)")) << words;
  EXPECT_TRUE(has(words, "2 runs by " + runs::program_fingerprint(FAKE_TRAIN))) << words;
}

}  // namespace
}  // namespace polariscope
