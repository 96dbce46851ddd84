// Runs that go back: where to, on which course, and that a kill at any moment changes none of it.
#include "polariscope/base/files.h"
#include "polariscope/train/run.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using By = runs::RescueOptions::By;

enum class Fate { kFine, kNotFinite, kCollapsing };

// Its state is a hash of the batches and rates of all steps done: another way there is another number. A step's fate is
// told by its batch and its rate.
class Fated final : public train::Trainable {
 public:
  using Tell = std::function<Fate(std::int64_t batch, double rate)>;
  Fated(std::int64_t steps, Tell tell) : steps_(steps), tell_(std::move(tell)) {}

  runs::MapShape maps() const override { return runs::map_shape(1, 1, 20, false); }
  std::int64_t steps() const override { return steps_; }
  train::StepNumbers advance() override {
    called();
    steps_at.insert(calls);
    const std::int64_t step = state_[0] + 1, batch = course_.batch(step);
    const double rate = course_.rate(step);
    const Fate fate = tell_(batch, rate);
    const bool finite = fate != Fate::kNotFinite, low = fate == Fate::kCollapsing;
    if (finite) state_ = {step, state_[1] * 31 % 1000003 + batch * 7 + static_cast<std::int64_t>(1000 * rate)};
    batches.push_back(batch);
    return {.step = step,
            .loss = finite ? static_cast<double>(state_[1]) : std::numeric_limits<double>::quiet_NaN(),
            .gradient_norm = 1.0,
            .update_norm = rate,
            .heads = {{"entropy", {low ? 0.1 : 2.0}},
                      {"frobenius_norm", {low ? 0.99 * std::sqrt(20.0) : 1.0}},
                      {"logit_variance", {low ? 2e3 * std::exp(0.02 * static_cast<double>(step)) : 1.0}}}};
  }
  train::Checkpoint checkpoint() const override {
    called();
    return {
        .tensors = {{.name = "state", .dtype = Dtype::kI64, .shape = {2}, .bytes = std::as_bytes(std::span(state_))}},
        .metadata = {}};
  }
  void restore(const Safetensors& file, std::int64_t step) override {
    called();
    train::read_tensor(file, {.name = "state", .dtype = Dtype::kI64, .shape = {2}, .bytes = {}},
                       std::as_writable_bytes(std::span(state_)));
    EXPECT_EQ(state_[0], step);
  }
  void set_course(const train::Course& course) override {
    called();
    course_ = course;
  }
  void open_logs(const fs::path&) override { called(); }
  void flush_logs() override { called(); }
  std::string finish(const fs::path&, nlohmann::ordered_json& result) override {
    called();
    result["state"] = state_[1];
    return "done";
  }

  std::vector<std::int64_t> batches;
  std::set<std::int64_t> steps_at;                 // which calls were steps
  mutable std::int64_t calls = 0, last_call = -1;  // the process ends, as by kill -9, in the last one

 private:
  void called() const {
    if (++calls == last_call) _exit(9);
  }

  std::int64_t steps_;
  Tell tell_;
  train::Course course_;
  std::array<std::int64_t, 2> state_{};
};

nlohmann::json run(Fated& training, const fs::path& folder, const runs::RunOptions& options) {
  train::run_training(training, options, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

std::vector<nlohmann::json> lines_of(const fs::path& path) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::vector<nlohmann::json> rescues_in(const fs::path& folder) {
  std::vector<nlohmann::json> all = lines_of(folder / "alarms.jsonl");
  std::erase_if(all, [](const nlohmann::json& line) { return line.at("kind") != "rescue"; });
  return all;
}

void expect_steps(const fs::path& log, std::int64_t first, std::int64_t last) {
  const std::vector<nlohmann::json> lines = lines_of(log);
  ASSERT_EQ(std::ssize(lines), last - first + 1) << log;
  for (std::int64_t i = 0; i < std::ssize(lines); ++i) EXPECT_EQ(lines[i].at("step"), first + i) << log;
}

runs::RunOptions rescue(By by, std::int64_t most = 3) { return {.rescue = {.by = by, .factor = 0.5, .most = most}}; }

TEST(Rescue, ThatLowersTheRateGoesBackAHundredStepsOrMoreAndOnToTheEnd) {
  const TemporaryFolder folder;
  Fated training(
      300, [](std::int64_t batch, double rate) { return batch == 259 && rate > 0.3 ? Fate::kNotFinite : Fate::kFine; });
  const nlohmann::json result = run(training, folder.path(), rescue(By::kLower));
  EXPECT_EQ(result.at("rescues"), 2);
  EXPECT_EQ(result.at("diverged"), false);
  EXPECT_EQ(result.at("steps"), 300);
  EXPECT_EQ(result.at("alarms"), 0);
  expect_steps(folder.path() / "metrics.jsonl", 1, 300);
  for (const char* name : {"rescue-1.jsonl", "rescue-2.jsonl"}) expect_steps(folder.path() / name, 151, 260);
  const std::vector<nlohmann::json> told = rescues_in(folder.path());
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].at("step"), 260);
  EXPECT_EQ(told[1].at("back_to"), 150);
  EXPECT_EQ(told[1].at("rate"), 0.25);
  EXPECT_EQ(told[1].at("sentence"), "rescue 2 of 3: back to step 150, and on at 0.25 of the learning rate");
  const std::vector<nlohmann::json> steps = lines_of(folder.path() / "metrics.jsonl");
  EXPECT_EQ(steps[149].at("update_norm"), 1.0);
  EXPECT_EQ(steps[150].at("update_norm"), 0.25);
  for (const auto& entry : fs::directory_iterator(folder.path() / "checkpoint")) {
    EXPECT_EQ(entry.path().filename(), "last.safetensors");
  }
}

TEST(Rescue, ThatSkipsLeavesOutTheBatchesSinceAtTheSameRate) {
  const TemporaryFolder folder;
  Fated training(200, [](std::int64_t batch, double) { return batch == 129 ? Fate::kNotFinite : Fate::kFine; });
  EXPECT_EQ(run(training, folder.path(), rescue(By::kSkip)).at("rescues"), 1);
  const nlohmann::json told = rescues_in(folder.path()).at(0);
  EXPECT_EQ(told.at("step"), 130);
  EXPECT_EQ(told.at("back_to"), 0);
  EXPECT_EQ(told.at("skipped"), 130);
  EXPECT_EQ(told.at("rate"), 1.0);
  std::vector<std::int64_t> expected;
  for (std::int64_t batch = 0; batch < 330; ++batch) expected.push_back(batch);
  EXPECT_EQ(training.batches, expected) << "none twice, none left out of those behind";
}

TEST(Rescue, IsGivenUpAfterSoMany) {
  const TemporaryFolder folder;
  Fated training(300, [](std::int64_t batch, double) { return batch == 259 ? Fate::kNotFinite : Fate::kFine; });
  const nlohmann::json result = run(training, folder.path(), rescue(By::kLower));
  EXPECT_EQ(result.at("rescues"), 3);
  EXPECT_EQ(result.at("diverged"), true);
  EXPECT_EQ(result.at("last_finite_step"), 259);
  expect_steps(folder.path() / "metrics.jsonl", 1, 260);
}

TEST(Rescue, AnswersAlarmsAndTheOneAfterTheLastStopsTheRun) {
  const TemporaryFolder folder;
  Fated training(600, [](std::int64_t batch, double) { return batch < 300 ? Fate::kFine : Fate::kCollapsing; });
  const nlohmann::json result = run(training, folder.path(), rescue(By::kLower, 2));
  EXPECT_EQ(result.at("rescues"), 2);
  EXPECT_EQ(result.at("alarms"), 3);
  EXPECT_EQ(result.at("stopped_by_alarm"), true);
  const std::vector<nlohmann::json> told = lines_of(folder.path() / "alarms.jsonl");
  ASSERT_EQ(told.size(), 5U);
  EXPECT_EQ(told[0].at("kind"), "collapse");
  const std::int64_t alarm = told[0].at("step");
  EXPECT_GE(alarm, 350);
  for (const nlohmann::json& one : {told[1], told[3]}) {
    EXPECT_EQ(one.at("kind"), "rescue");
    EXPECT_EQ(one.at("step"), alarm);
    EXPECT_LT(one.at("back_to"), 300) << "before the first sign";
  }
  EXPECT_EQ(result.at("steps"), alarm);
  EXPECT_EQ(result.at("first_alarm_step"), alarm);
}

TEST(Rescue, KeepsAtMostFourPointsAtATime) {
  const TemporaryFolder folder;
  std::size_t most = 0;
  Fated training(700, [&](std::int64_t, double) {
    std::size_t points = 0;
    for (const auto& entry : fs::directory_iterator(folder.path() / "checkpoint")) {
      points += entry.path().filename().string().starts_with("rescue-") ? 1 : 0;
    }
    most = std::max(most, points);
    return Fate::kFine;
  });
  run(training, folder.path(), rescue(By::kLower));
  EXPECT_EQ(most, 4U);
}

TEST(Rescue, OfATrainingThatCannotIsRefusedAtItsBeginning) {
  class Without final : public train::Trainable {
    runs::MapShape maps() const override { return runs::map_shape(1, 1, 4, false); }
    std::int64_t steps() const override { return 1; }
    train::StepNumbers advance() override { return {}; }
    train::Checkpoint checkpoint() const override { return {}; }
    void restore(const Safetensors&, std::int64_t) override {}
    std::string finish(const fs::path&, nlohmann::ordered_json&) override { return ""; }
  } training;
  const TemporaryFolder folder;
  EXPECT_NE(complaint_of([&] {
              train::run_training(training, rescue(By::kLower), runs::RunFolder(folder.path()), Progress());
            }).find("cannot be rescued"),
            std::string::npos);
}

// Every file of a run but the wall times in its events and provenance.
std::map<std::string, std::string> contents_of(const fs::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || name == "provenance.json" || name.find("tfevents") != std::string::npos) continue;
    if (!name.starts_with(".")) contents[name] = read_file(entry.path());
  }
  return contents;
}

TEST(Rescue, EndsWithTheSameBytesWhereverItWasKilled) {
  const Fated::Tell tell = [](std::int64_t batch, double rate) {
    if (batch == 139 && rate > 0.6) return Fate::kNotFinite;
    return batch >= 140 && batch < 210 && rate > 0.3 ? Fate::kCollapsing : Fate::kFine;
  };
  for (const double seconds : {0.0, 1e9}) {
    runs::RunOptions options = rescue(By::kLower);
    options.checkpoint_seconds = seconds;
    const TemporaryFolder whole;
    Fated uninterrupted(230, tell);
    EXPECT_EQ(run(uninterrupted, whole.path(), options).at("rescues"), 2);
    const auto expected = contents_of(whole.path());
    // All that is done beside steps, and some steps; a few of both where every step is kept.
    std::vector<std::int64_t> calls;
    for (std::int64_t call = 1; call <= uninterrupted.calls; ++call) {
      const bool is_step = uninterrupted.steps_at.contains(call);
      if (seconds > 0.0 ? !is_step || call % 37 == 0 : call % 331 == 0) calls.push_back(call);
    }
    for (const std::int64_t last : calls) {
      const TemporaryFolder folder;
      const pid_t child = fork();
      if (child == 0) {
        Fated killed(230, tell);
        killed.last_call = last;
        run(killed, folder.path(), options);
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_EQ(WEXITSTATUS(status), 9);
      Fated again(230, tell);
      run(again, folder.path(), options);
      ASSERT_TRUE(contents_of(folder.path()) == expected) << "killed in call " << last << " of " << uninterrupted.calls;
    }
  }
}

TEST(Course, IsAFunctionOfTheStep) {
  train::Course course;
  EXPECT_EQ(course.batch(1), 0);
  EXPECT_EQ(course.rate(1), 1.0);
  course.turn({.after = 100, .factor = 0.5, .skipped = 30});
  EXPECT_EQ(course.batch(100), 99);
  EXPECT_EQ(course.batch(101), 130);
  EXPECT_EQ(course.rate(100), 1.0);
  EXPECT_EQ(course.rate(101), 0.5);
  course.turn({.after = 50, .factor = 0.5});
  EXPECT_EQ(course.rate(50), 1.0);
  EXPECT_EQ(course.rate(51), 0.25) << "what was learned of the steps behind 100 holds from 50 on";
  EXPECT_EQ(course.batch(51), 80);
}

}  // namespace
}  // namespace polariscope::testing
