// `polariscope reproduce`: a report that survives Ctrl-C, kills and second starts.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <random>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* kConfig = "command = \"reproduce\"\npreset = \"quick\"\nseed = 0\n";

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool is_whole_page(const fs::path& path) {
  std::string page = bytes_of(path);
  while (page.ends_with('\n')) page.pop_back();
  return page.ends_with("</html>");
}

class Reproduce : public ::testing::Test {
 protected:
  fs::path out() const { return folder_.path() / "out"; }
  fs::path section() const { return out() / "A.fig2" / "section.json"; }
  fs::path report() const { return out() / "report.html"; }

  Surroundings here() const {
    Surroundings surroundings;
    surroundings.folder = folder_.path();
    return surroundings;
  }
  static Words command(const Words& more = {}) {
    Words arguments{"reproduce", "A.fig2", "--out", "out"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Outcome run(const Words& more = {}) const { return polariscope_run(command(more), here()); }

  // What the report says that its experiments took.
  std::string time_taken() const {
    const std::string page = bytes_of(report());
    const std::string label = "<dt>experiments took</dt><dd>";
    const std::size_t from = page.find(label);
    if (from == std::string::npos) return "not said";
    return page.substr(from + label.size(), page.find('<', from + label.size()) - from - label.size());
  }

  void expect_complete() const {
    EXPECT_EQ(bytes_of(out() / "config.toml"), kConfig);
    EXPECT_EQ(Json::parse(bytes_of(section()))["section"]["id"], "A.fig2");
    EXPECT_TRUE(is_whole_page(report()));
  }
  // Every file is whole under its name, or is a temporary one.
  void expect_nothing_partial() const {
    if (!fs::exists(out())) return;
    for (const auto& entry : fs::recursive_directory_iterator(out())) {
      const std::string name = entry.path().filename().string();
      if (name == "config.toml") {
        EXPECT_EQ(bytes_of(entry.path()), kConfig);
      } else if (name == "section.json") {
        EXPECT_TRUE(Json::accept(bytes_of(entry.path())));
      } else if (name == "report.html") {
        EXPECT_TRUE(is_whole_page(entry.path()));
      } else {
        EXPECT_TRUE(entry.is_directory() || (name.starts_with(".") && name.ends_with(".tmp"))) << entry.path();
      }
    }
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Reproduce, WritesAReportOnceAndReusesItsSections) {
  const Outcome first = run();
  EXPECT_EQ(first.code, 0) << first.err;
  expect_complete();
  EXPECT_TRUE(holds(first.out, "✓ holds")) << first.out;
  EXPECT_TRUE(holds(first.out, "3 of 3 claims hold, 0 fail")) << first.out;
  EXPECT_TRUE(
      holds(first.out, "report: out/report.html   repeat: polariscope reproduce A.fig2 --preset quick --seed 0"))
      << first.out;
  EXPECT_FALSE(holds(first.out, "\x1b"));
  for (const std::string& line : lines_of(first.out)) EXPECT_LE(columns_of(line), 100) << line;

  const auto written = fs::last_write_time(section());
  const std::string took = time_taken();
  EXPECT_NE(took, "not said");
  const std::string bytes = bytes_of(section());
  const Outcome second = run();
  EXPECT_EQ(second.code, 0);
  EXPECT_EQ(second.err, "");
  EXPECT_TRUE(holds(second.out, "1 of 1 experiments were done before")) << second.out;
  EXPECT_EQ(time_taken(), took);  // what the experiments took, not the second look at them
  EXPECT_EQ(fs::last_write_time(section()), written);
  EXPECT_EQ(bytes_of(section()), bytes);

  expect_refused_in(out().parent_path(), command({"--seed", "1"}), {"out", "another run", "seed = 0", "seed = 1"});
  expect_refused_in(out().parent_path(), command({"--preset", "paper"}), {"another run", "quick", "paper"});
}

TEST_F(Reproduce, MakesADamagedSectionAgain) {
  ASSERT_EQ(run().code, 0);
  const Json whole = Json::parse(bytes_of(section()));
  Json misspelt = whole, mistyped = whole;
  misspelt["section"]["claims"][0]["verdict"] = "perhaps";
  mistyped["section"]["claims"] = 3;
  std::string damaged = whole.dump();
  damaged.resize(damaged.size() / 2);
  for (const std::string& bytes : {std::string(), damaged, misspelt.dump(), mistyped.dump()}) {
    SCOPED_TRACE(bytes.substr(0, 80));
    write_bytes(section(), bytes);
    const Outcome outcome = run();
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_FALSE(holds(outcome.out, "done before"));
    EXPECT_EQ(Json::parse(bytes_of(section()))["section"]["claims"], whole["section"]["claims"]);
  }
}

TEST_F(Reproduce, MakesASectionOfAnotherProgramAgain) {
  fs::create_directories(section().parent_path());
  write_bytes(out() / "config.toml", kConfig);
  write_bytes(section(), R"({"program": "another", "section": {"id": "A.fig2"}})");
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_FALSE(holds(outcome.out, "done before"));
  expect_complete();
}

// A.fig3 takes ten times as long as A.fig2: the signal meets it at work on a fast machine too.
TEST_F(Reproduce, LeavesAValidReportOnCtrlCAndGoesOnFromThere) {
  const Words command{"reproduce", "A.fig3", "--out", "out"};
  {
    Running running(polariscope_command(command), here());
    wait_for(out() / "config.toml", running);
    running.send(SIGINT);
    const Outcome stopped = running.wait();
    EXPECT_EQ(stopped.code, 130) << stopped.signal;
    EXPECT_EQ(stopped.err, "");
    EXPECT_TRUE(holds(stopped.out, "the same command goes on with 1 experiment left")) << stopped.out;
  }
  EXPECT_TRUE(is_whole_page(report()));
  EXPECT_TRUE(holds(bytes_of(report()), "A.fig3")) << "what is unfinished is named";
  EXPECT_FALSE(fs::exists(out() / "A.fig3" / "section.json"));

  const Outcome outcome = polariscope_run(command, here());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_FALSE(holds(outcome.out, "done before")) << outcome.out;
  EXPECT_TRUE(holds(outcome.out, "claims hold, 0 fail")) << outcome.out;
  EXPECT_EQ(bytes_of(out() / "config.toml"), kConfig);
  EXPECT_EQ(Json::parse(bytes_of(out() / "A.fig3" / "section.json"))["section"]["id"], "A.fig3");
  EXPECT_TRUE(is_whole_page(report()));
}

TEST_F(Reproduce, IsEndedAtOnceByASecondCtrlC) {
  Running running(polariscope_command({"reproduce", "A.fig2", "--preset", "paper", "--out", "out"}), here());
  wait_for(out() / "config.toml", running);
  usleep(50'000);
  running.send(SIGTERM);
  running.send(SIGINT);
  const Outcome outcome = running.wait();
  // Which of the two the process meets first, and whether it is still there for the second, is the system's choice.
  EXPECT_TRUE(outcome.signal == SIGINT || outcome.signal == SIGTERM || outcome.code == 130)
      << outcome.signal << " " << outcome.code;
}

TEST_F(Reproduce, LeavesNoPartialFileHoweverItIsKilled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int kill = 0; kill < 5; ++kill) {
    Running running(polariscope_command(command({"--quiet"})), here());
    usleep(std::uniform_int_distribution<useconds_t>(0, 1'000'000)(random));
    running.send(SIGKILL);
    running.wait();
    expect_nothing_partial();
  }
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_complete();
}

TEST_F(Reproduce, ClaimsTheSameWithOneJobAndWithTwo) {
  Json claims[2];
  for (const int jobs : {1, 2}) {
    const std::string folder = "jobs" + std::to_string(jobs);
    const Outcome outcome =
        polariscope_run({"reproduce", "A.fig2", "--jobs", std::to_string(jobs), "--out", folder}, here());
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    claims[jobs - 1] = Json::parse(bytes_of(out().parent_path() / folder / "A.fig2/section.json"))["section"]["claims"];
  }
  EXPECT_EQ(claims[0].size(), 3U);
  EXPECT_EQ(claims[0], claims[1]);
}

TEST_F(Reproduce, SaysWhatItsTrainingsWouldTakeAndMakesNone) {
  const Outcome none = run({"--dry-run"});
  EXPECT_EQ(none.code, 0) << none.err;
  EXPECT_TRUE(holds(none.out, "train nothing")) << none.out;
  const Outcome small = polariscope_run({"reproduce", "B.fig1", "B.fig3", "--preset", "small", "--dry-run"}, here());
  EXPECT_EQ(small.code, 0) << small.err;
  EXPECT_TRUE(holds(small.out, "regression-quick: 230 trainings")) << small.out;
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_EQ(polariscope_run({"reproduce", "--preset", "large", "--dry-run"}, here()).code, 2);
}

TEST_F(Reproduce, TakesAnExperimentNamedTwiceOnce) {
  const Outcome outcome = polariscope_run({"reproduce", "A.fig2", "A.fig2", "--out", "out"}, here());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(holds(outcome.out, "3 of 3 claims hold")) << outcome.out;
}

}  // namespace
}  // namespace polariscope::testing
