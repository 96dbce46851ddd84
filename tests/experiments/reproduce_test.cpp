// What of an earlier version's work `reproduce` takes, and what it does again.
#include "polariscope/experiments/reproduce.h"

#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// In place of polariscope-train: train --threads 1 CONFIG --out FOLDER --quiet.
fs::path program(const fs::path& folder, const std::string& version) {
  const fs::path path = folder / version;
  write_file(path, "#!/bin/sh\n# " + version + "\necho '{\"accuracy\": 1}' > \"$6/result.json\"\n");
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

TEST(Reproduce, DoesTrainingsOfAnotherVersionAgainAndSaysSo) {
  const TemporaryFolder folder;
  std::vector<std::string> told;
  const auto reproduce_with = [&](const fs::path& training_program) {
    told.clear();
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    // The figure lacks files that real trainings leave, which is an error of its own.
    experiments::reproduce({.ids = {"A.fig4"},
                            .jobs = 2,
                            .out = folder.path() / "out",
                            .training_program = training_program,
                            .announce = [&](const std::string& line) { told.push_back(line); }},
                           board);
  };
  const auto again = [&] {
    return std::ranges::count(told, "induction-quick: 42 trainings of another version of the program are done again");
  };
  const fs::path old = program(folder.path(), "old"), upgraded = program(folder.path(), "upgraded");
  reproduce_with(old);
  EXPECT_EQ(again(), 0) << told.front();
  const fs::path result = folder.path() / "out/runs/induction-quick/runs/00001/result.json";
  const auto made = fs::last_write_time(result);
  reproduce_with(old);
  EXPECT_EQ(again(), 0);
  EXPECT_EQ(fs::last_write_time(result), made);
  reproduce_with(upgraded);
  EXPECT_EQ(again(), 1) << told.front();
  EXPECT_NE(fs::last_write_time(result), made);
}

TEST(Reproduce, DoesAnExperimentOfAnotherVersionAgainAndSaysSo) {
  const TemporaryFolder folder;
  const fs::path section = folder.path() / "out/B.eq20/section.json";
  std::vector<std::string> told;
  const auto reused = [&] {
    told.clear();
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    return experiments::reproduce({.ids = {"B.eq20"},
                                   .jobs = 1,
                                   .out = folder.path() / "out",
                                   .training_program = folder.path() / "none",
                                   .announce = [&](const std::string& line) { told.push_back(line); }},
                                  board)
        .reused;
  };
  EXPECT_EQ(reused(), 0);
  EXPECT_TRUE(told.empty());
  nlohmann::json stored = nlohmann::json::parse(read_file(section));
  const nlohmann::json program = stored.at("program");
  stored["program"] = "another";
  write_file(section, stored.dump());
  EXPECT_EQ(reused(), 0);
  EXPECT_EQ(told, std::vector<std::string>{"1 experiment of another version of the program is done again"});
  EXPECT_EQ(nlohmann::json::parse(read_file(section)).at("program"), program);
  EXPECT_EQ(reused(), 1);
  EXPECT_TRUE(told.empty());
}

}  // namespace
}  // namespace polariscope::testing
