// A folder with a run in it: it repeats the run, and gives place to no other.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class RunFolder : public ::testing::Test {
 protected:
  const fs::path& folder() const { return folder_.path(); }

  Outcome run(Words arguments) const {
    Surroundings surroundings;
    surroundings.folder = folder();
    return polariscope_run(std::move(arguments), surroundings);
  }
  void expect_done(const Words& arguments) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }

 private:
  TemporaryFolder folder_;
};

const std::vector<Words> kRuns{
    {"--steps", "1e3", "--seed", "5"},
    {"--until", "20", "--step", "0.01", "--samples", "30"},
    {"--method", "flow", "--until", "1e20", "--rtol", "1e-7", "--solver", "adams"},
    {"--loss", "least-squares", "--condition", "3", "--dim", "5", "--tokens", "4", "--step", "1e-2", "--steps", "500"},
    {"--loss", "kl", "--steps", "200", "--dim", "3", "--tokens", "5"},
    {"--model", "rows", "--rows", "3", "--steps", "200", "--check"},
    {"--model", "tied", "--reweighting", "relu/sum", "--steps", "200", "--score-offset", "2"},
    {"--model", "linear", "--steps", "200"},
    {"--model", "reduced", "--value-scale", "0.5", "--steps", "200"},
};

TEST_F(RunFolder, RepeatsItsRunFromItsConfigByteForByte) {
  for (std::size_t i = 0; i < kRuns.size(); ++i) {
    SCOPED_TRACE("run " + std::to_string(i));
    const std::string first = "first" + std::to_string(i), second = "second" + std::to_string(i);
    Words arguments{"flow", "--out", first};
    arguments.insert(arguments.end(), kRuns[i].begin(), kRuns[i].end());
    expect_done(arguments);
    expect_done({"flow", "--config", first + "/config.toml", "--out", second});
    for (const char* name : {"trajectory.npy", "trajectory.json", "init.json", "config.toml"}) {
      EXPECT_EQ(bytes_of(folder() / first / name), bytes_of(folder() / second / name)) << name;
    }
    // The same run may be done again where it is.
    expect_done(arguments);
    expect_done({"flow", "--config", first + "/config.toml", "--out", first});
  }
}

TEST_F(RunFolder, RepeatsItsRunFromItsArraysByteForByte) {
  for (std::size_t i = 0; i < kRuns.size(); ++i) {
    SCOPED_TRACE("run " + std::to_string(i));
    const std::string first = "first" + std::to_string(i), second = "second" + std::to_string(i);
    Words arguments{"flow", "--out", first};
    arguments.insert(arguments.end(), kRuns[i].begin(), kRuns[i].end());
    expect_done(arguments);
    arguments[2] = second;
    arguments.insert(arguments.end(), {"--init", first + "/init.json"});
    expect_done(arguments);
    // u = Vᵀβ of a V that was made from u differs in the last bit.
    if (kRuns[i][1] != "reduced") {
      EXPECT_EQ(bytes_of(folder() / first / "init.json"), bytes_of(folder() / second / "init.json"));
      EXPECT_EQ(bytes_of(folder() / first / "trajectory.npy"), bytes_of(folder() / second / "trajectory.npy"));
    }
  }
}

TEST_F(RunFolder, RemembersArraysWhoseSizesAreTheirOwn) {
  write_bytes(folder() / "arrays.json", R"({"V": [[0.1, 0.2, 0.4], [0.3, 0.1, 0.5]]})");
  expect_done({"flow", "--init", "arrays.json", "--steps", "100", "--out", "first"});
  expect_done({"flow", "--config", "first/config.toml", "--out", "second"});
  EXPECT_EQ(bytes_of(folder() / "first/trajectory.npy"), bytes_of(folder() / "second/trajectory.npy"));
}

// Names that a careless writer makes numbers, booleans, or no TOML of.
TEST_F(RunFolder, RemembersAnInitFileWhateverItIsCalled) {
  for (const std::string name :
       {"1e3", "true", "3", "a\nb.json", "tab\there", "quote\".json", "back\\slash", "β.json"}) {
    SCOPED_TRACE(name);
    fs::remove_all(folder() / "first");
    fs::remove_all(folder() / "second");
    write_bytes(folder() / name, R"({"V": [[0.1, 0.2, 0.4], [0.3, 0.1, 0.5]]})");
    expect_done({"flow", "--init", name, "--steps", "100", "--out", "first"});
    expect_done({"flow", "--config", "first/config.toml", "--out", "second"});
    EXPECT_EQ(bytes_of(folder() / "first/config.toml"), bytes_of(folder() / "second/config.toml"));
    EXPECT_EQ(bytes_of(folder() / "first/trajectory.npy"), bytes_of(folder() / "second/trajectory.npy"));
  }
  expect_refused_in(folder(), {"flow", "--init", "caf\xe9.json", "--out", "third"}, {"caf"});
}

TEST_F(RunFolder, RemembersAnInitFileFromWhicheverFolderItIsAsked) {
  fs::create_directories(folder() / "here/runs");
  fs::create_directories(folder() / "there");
  write_bytes(folder() / "here/arrays.json", R"({"V": [[0.1, 0.2, 0.4], [0.3, 0.1, 0.5]]})");
  write_bytes(folder() / "arrays.json", R"({"V": [[1, 2], [3, 4]]})");  // another one
  const auto flow_in = [&](const char* where, Words words) {
    Surroundings surroundings;
    surroundings.folder = folder() / where;
    words.insert(words.begin(), {"flow", "--steps", "50"});
    const Outcome outcome = polariscope_run(words, surroundings);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  };
  flow_in("here", {"--init", "arrays.json", "--out", "runs/run"});
  const std::string config = bytes_of(folder() / "here/runs/run/config.toml");
  EXPECT_NE(config.find("init = \"../../arrays.json\"\n"), std::string::npos) << config;
  flow_in("", {"--config", "here/runs/run/config.toml", "--out", "there/run"});
  EXPECT_EQ(bytes_of(folder() / "here/runs/run/trajectory.npy"), bytes_of(folder() / "there/run/trajectory.npy"));
  // The same run, whichever folder it is called from.
  flow_in("", {"--init", "here/arrays.json", "--out", "here/runs/run"});
  EXPECT_EQ(bytes_of(folder() / "here/runs/run/config.toml"), config);
  // A project that is moved keeps its runs.
  fs::rename(folder() / "here", folder() / "moved");
  flow_in("there", {"--config", "../moved/runs/run/config.toml", "--out", "again"});
  EXPECT_EQ(bytes_of(folder() / "moved/runs/run/trajectory.npy"), bytes_of(folder() / "there/again/trajectory.npy"));
  // An absolute path stays one.
  const std::string absolute = (folder() / "arrays.json").string();
  flow_in("there", {"--init", absolute, "--out", "absolute"});
  EXPECT_NE(bytes_of(folder() / "there/absolute/config.toml").find("init = \"" + absolute + "\"\n"), std::string::npos);
}

// Of one trajectory and of many: the numbers in the file are what the run is, not how they are laid out.
TEST_F(RunFolder, OfAnInitFileThatWasEditedIsRefusedAndUntouched) {
  for (const Words& more : {Words{}, Words{"--trajectories", "3"}}) {
    Words arguments{"flow", "--init", "arrays.json", "--steps", "50", "--out", more.empty() ? "one" : "many"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    write_bytes(folder() / "arrays.json", R"({"a": [0.1, 0.2], "beta": [1, 0]})");
    expect_done(arguments);
    write_bytes(folder() / "arrays.json", "{\"beta\": [1, 0],\n\"a\": [0.10, 0.2]}\n");
    expect_done(arguments);
    write_bytes(folder() / "arrays.json", R"({"a": [0.1, 0.3], "beta": [1, 0]})");
    expect_refused_in(folder(), arguments, {"another run", "the arrays of init", "fingerprint"});
  }
}

TEST_F(RunFolder, IsRepeatedByWhatItPrintsWhateverItIsCalled) {
  const std::string printed = run({"flow", "--steps", "20", "--out", "Anna's run #1"}).out;
  const std::size_t at = printed.find("repeat: polariscope ");
  ASSERT_NE(at, std::string::npos) << printed;
  const std::string words = printed.substr(at + std::string("repeat: polariscope ").size());
  const Outcome again =
      Running({"sh", "-c", "cd '" + folder().string() + "' && " + POLARISCOPE_BINARY + " " + words}).wait();
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(RunFolder, LetsTheCommandLineWinOverItsConfig) {
  write_bytes(folder() / "run.toml", "steps = 100\nseed = 3\ncheck = false\njson = true\n");
  const auto steps = [&](Words more) {
    more.insert(more.begin(), {"flow", "--config", "run.toml"});
    return nlohmann::json::parse(run(more).out)["steps"];
  };
  EXPECT_EQ(steps({}), 100);
  EXPECT_EQ(steps({"--steps", "7"}), 7);
}

TEST_F(RunFolder, IsTheSameRunHoweverItsNumbersAreTyped) {
  expect_done({"flow", "--steps", "1e3", "--step", "1e-1", "--out", "run"});
  expect_done({"flow", "--steps", "1000", "--step", "0.10", "--out", "run"});
}

TEST_F(RunFolder, OfAnotherRunIsRefusedAndUntouched) {
  expect_done({"flow", "--steps", "100", "--out", "run"});
  expect_refused_in(folder(), {"flow", "--steps", "100", "--seed", "1", "--out", "run"},
                    {"run", "another run", "seed = 0", "seed = 1"});
  expect_refused_in(folder(), {"flow", "--steps", "200", "--out", "run"}, {"another run", "steps = 100"});
  expect_refused_in(folder(), {"flow", "--steps", "100", "--check", "--out", "run"}, {"another run"});
  expect_refused_in(folder(), {"flow", "--method", "flow", "--out", "run"}, {"another run"});
  expect_refused_in(folder(), {"reproduce", "A.fig2", "--out", "run"}, {"another run"});
  fs::create_directory(folder() / "report");
  write_bytes(folder() / "report/config.toml", "command = \"reproduce\"\npreset = \"quick\"\nseed = 0\n");
  expect_refused_in(folder(), {"flow", "--steps", "100", "--out", "report"}, {"another run"});
  expect_refused_in(folder(), {"reproduce", "A.fig2", "--seed", "1", "--out", "report"}, {"another run", "seed = 1"});
  expect_refused_in(folder(), {"reproduce", "A.fig2", "--preset", "paper", "--out", "report"},
                    {"another run", "paper"});
}

TEST_F(RunFolder, ThatHoldsSomethingElseIsRefusedAndUntouched) {
  fs::create_directory(folder() / "photos");
  write_bytes(folder() / "photos/cat", "miaow");
  for (const Words& arguments : {Words{"flow", "--steps", "10", "--out", "photos"}, {"reproduce", "--out", "photos"}}) {
    expect_refused_in(folder(), arguments, {"photos", "not empty", "choose another folder"});
  }
  EXPECT_EQ(bytes_of(folder() / "photos/cat"), "miaow");
}

TEST_F(RunFolder, MayExistEmptyAndIsMadeWithItsParents) {
  fs::create_directory(folder() / "empty");
  expect_done({"flow", "--steps", "10", "--out", "empty"});
  expect_done({"flow", "--steps", "10", "--out", "deep/er/run"});
  EXPECT_TRUE(fs::exists(folder() / "deep/er/run/trajectory.npy"));
}

TEST_F(RunFolder, ThatAKilledProcessJustBeganIsTaken) {
  fs::create_directory(folder() / "run");
  write_bytes(folder() / "run/.config.toml.4711.0.tmp", "command = ");
  expect_done({"flow", "--steps", "10", "--out", "run"});
  EXPECT_FALSE(fs::exists(folder() / "run/.config.toml.4711.0.tmp"));
}

TEST_F(RunFolder, LosesWhatAKilledProcessLeftWhenItsRunStartsAgain) {
  expect_done({"flow", "--steps", "10", "--out", "run"});
  const std::string before = listing(folder());
  write_bytes(folder() / "run/.report.html.4711.0.tmp", "<html");
  // Nothing is touched for another run, which is refused.
  EXPECT_EQ(run({"flow", "--steps", "11", "--out", "run"}).code, 2);
  EXPECT_NE(listing(folder()), before);
  expect_done({"flow", "--steps", "10", "--out", "run"});
  EXPECT_EQ(listing(folder()), before);
}

TEST_F(RunFolder, SaysWhichProgramMadeItsRun) {
  expect_done({"flow", "--steps", "10", "--out", "run"});
  const std::string bytes = bytes_of(folder() / "run/provenance.json");
  const auto programs = nlohmann::json::parse(bytes);
  ASSERT_EQ(programs.size(), 1U);
  EXPECT_EQ(run({"--version"}).out, "polariscope " + programs[0]["version"].get<std::string>() + " (" +
                                        programs[0]["commit"].get<std::string>() + ")\n");
  EXPECT_EQ(programs[0]["program"].get<std::string>().size(), 16U);
  EXPECT_FALSE(programs[0]["simd_target"].get<std::string>().empty());
  expect_done({"flow", "--steps", "10", "--out", "run"});  // by the same program
  EXPECT_EQ(bytes_of(folder() / "run/provenance.json"), bytes);
}

TEST_F(RunFolder, IsForOneProcessAtATime) {
  const Words words{"flow", "--trajectories", "2000", "--steps", "20000", "--out", "run", "--quiet"};
  Surroundings here;
  here.folder = folder();
  Running first(polariscope_command(words), here);
  while (!fs::exists(folder() / "run/provenance.json") && !first.ended()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Outcome second = run(words);
  ASSERT_FALSE(first.ended());
  EXPECT_EQ(second.code, 2);
  EXPECT_TRUE(second.err.starts_with("polariscope: run: process ")) << second.err;
  first.send(SIGKILL);
  first.wait();
  expect_done({"flow", "--trajectories", "2000", "--steps", "20000", "--out", "run", "--quiet"});
}

TEST_F(RunFolder, OfAnEnsembleHoldsItsSummary) {
  expect_done({"flow", "--trajectories", "20", "--steps", "50", "--out", "run"});
  EXPECT_EQ(nlohmann::json::parse(bytes_of(folder() / "run/ensemble.json"))["trajectories"], 20);
  expect_done({"flow", "--config", "run/config.toml", "--out", "again"});
  EXPECT_EQ(bytes_of(folder() / "run/ensemble.json"), bytes_of(folder() / "again/ensemble.json"));
}

}  // namespace
}  // namespace polariscope::testing
