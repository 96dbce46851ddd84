// Disks that are full or read-only: what was whole stays whole, nothing else is left.
#include "command.h"
#include "support/small_disk.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

void expect_no_temporary_files(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    EXPECT_NE(entry.path().extension(), ".tmp") << entry;
}

void expect_one_sentence(const Outcome& outcome, const std::string& file, const std::string& reason) {
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("polariscope: ")) << outcome.err;
  for (const std::string& word : {file, reason}) EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
}

constexpr const char* kFull = "No space left on device";

TEST(FullDisk, AFlowSaysWhichFileDidNotFitAndLeavesNoPartOfIt) {
  const SmallDisk disk(32);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const fs::path run = disk.path() / "run";
  expect_one_sentence(polariscope_run({"flow", "--steps", "1000", "--out", run.string()}), "trajectory.npy", kFull);
  expect_no_temporary_files(disk.path());
  EXPECT_FALSE(fs::exists(run / "trajectory.npy"));
  // What came before it is whole.
  EXPECT_TRUE(nlohmann::json::parse(bytes_of(run / "init.json")).contains("V"));
  EXPECT_TRUE(bytes_of(run / "config.toml").ends_with("\n"));
}

TEST(FullDisk, AnEnsembleSaysWhichFileDidNotFit) {
  const SmallDisk disk(4);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const fs::path run = disk.path() / "run";
  expect_one_sentence(polariscope_run({"flow", "--trajectories", "2", "--steps", "10", "--out", run.string()}), "run",
                      kFull);
  expect_no_temporary_files(disk.path());
}

TEST(FullDisk, AReproductionSaysWhichFileDidNotFitAndLeavesNoPartOfIt) {
  const SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const fs::path run = disk.path() / "run";
  const Outcome outcome = polariscope_run({"reproduce", "A.fig2", "--quiet", "--out", run.string()});
  expect_one_sentence(outcome, run.string(), kFull);
  expect_no_temporary_files(disk.path());
  EXPECT_FALSE(fs::exists(run / "report.html"));
  EXPECT_FALSE(fs::exists(run / "A.fig2" / "section.json"));
}

TEST(FullDisk, AReportThatWasWholeStaysWhole) {
  const SmallDisk disk(64 << 10);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const fs::path run = disk.path() / "run";
  const std::vector<std::string> command{"reproduce", "A.fig2", "--quiet", "--out", run.string()};
  ASSERT_EQ(polariscope_run(command).code, 0);
  const std::string before = listing(run);
  const std::string report = bytes_of(run / "report.html");

  std::ofstream filler(disk.path() / "filler", std::ios::binary);
  const std::string chunk(1 << 16, 'x');
  while (filler.write(chunk.data(), static_cast<std::streamsize>(chunk.size())).flush()) {
  }
  expect_one_sentence(polariscope_run(command), "report.html", kFull);
  EXPECT_EQ(listing(run), before);
  EXPECT_EQ(bytes_of(run / "report.html"), report);
}

TEST(FullDisk, ALimitOfFilesSizesIsOneToo) {
  const TemporaryFolder folder;
  std::vector<std::string> limited{"/bin/sh", "-c", "ulimit -f 4; exec \"$@\"", "sh"};
  for (const std::string& word :
       polariscope_command({"flow", "--steps", "1e4", "--out", (folder.path() / "run").string()})) {
    limited.push_back(word);
  }
  expect_one_sentence(Running(limited).wait(), "trajectory.npy", "File too large");
  expect_no_temporary_files(folder.path());
}

TEST(FullDisk, BehindStandardOutputIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  Surroundings full;
  full.output_to = "/dev/full";
  for (const std::vector<std::string>& command : {std::vector<std::string>{"list", "reweightings"},
                                                  {"list", "checks", "--markdown"},
                                                  {"flow", "--steps", "10", "--json"},
                                                  {"--help"},
                                                  {"--version"},
                                                  {"train", "--help"}}) {
    const Outcome outcome = polariscope_run(command, full);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("polariscope: standard output cannot be written")) << outcome.err;
    EXPECT_NE(outcome.err.find(kFull), std::string::npos) << outcome.err;
  }
}

TEST(ReadOnlyDisk, IsNoPlaceForARun) {
  SmallDisk disk(1024);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  const std::string run = (disk.path() / "run").string();
  ASSERT_EQ(polariscope_run({"flow", "--steps", "10", "--out", run}).code, 0);
  disk.make_read_only();
  for (const std::string& folder : {run, (disk.path() / "new").string()}) {
    expect_one_sentence(polariscope_run({"flow", "--steps", "10", "--out", folder}), folder, "Read-only file system");
  }
  expect_one_sentence(polariscope_run({"reproduce", "--out", (disk.path() / "report").string()}), "report",
                      "Read-only file system");
}

}  // namespace
}  // namespace polariscope::testing
