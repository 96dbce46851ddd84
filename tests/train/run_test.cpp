// The loop over trainings that are written out step by step: how a run ends, and what it leaves.
#include "polariscope/train/run.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

struct Step {
  double loss = 1.0, gradient_norm = 1.0;
};

// Its state is the number of steps done.
class Scripted final : public train::Trainable {
 public:
  explicit Scripted(std::vector<Step> script) : script_(std::move(script)) {}

  runs::MapShape maps() const override { return runs::map_shape(1, 2, 4, false); }
  std::int64_t steps() const override { return static_cast<std::int64_t>(script_.size()); }
  train::StepNumbers advance() override {
    const auto [loss, gradient_norm] = script_.at(static_cast<std::size_t>(done_[0]));
    const bool finite = std::isfinite(loss) && std::isfinite(gradient_norm);
    train::StepNumbers numbers{.step = done_[0] + 1,
                               .loss = loss,
                               .gradient_norm = gradient_norm,
                               .update_norm = finite ? 0.5 : kNan,
                               .heads = {}};
    for (const std::string_view name : names) numbers.heads.push_back({name, {1.0, 2.0}});
    if (finite) ++done_[0];
    return numbers;
  }
  train::Checkpoint checkpoint() const override {
    return {.tensors = {{.name = "done", .dtype = Dtype::kI64, .shape = {1}, .bytes = std::as_bytes(std::span(done_))}},
            .metadata = {}};
  }
  void restore(const Safetensors& file, std::int64_t step) override {
    train::read_tensor(file, checkpoint().tensors.front(), std::as_writable_bytes(std::span(done_)));
    EXPECT_EQ(done_[0], step);
  }
  std::string finish(const fs::path&, nlohmann::ordered_json& result) override {
    result["of_its_own"] = done_[0];
    return "done";
  }

  std::vector<std::string_view> names{"entropy", "frobenius_norm", "logit_variance"};

 private:
  std::vector<Step> script_;
  std::array<std::int64_t, 1> done_{};
};

nlohmann::json run(const std::vector<Step>& script, const fs::path& folder) {
  Scripted training(script);
  train::run_training(training, {}, runs::RunFolder(folder), Progress());
  return nlohmann::json::parse(read_file(folder / "result.json"));
}

std::int64_t step_of(const fs::path& checkpoint) {
  const Safetensors file(checkpoint);
  std::int64_t done = -1;
  train::read_tensor(file, {.name = "done", .dtype = Dtype::kI64, .shape = {1}, .bytes = {}},
                     std::as_writable_bytes(std::span(&done, 1)));
  EXPECT_EQ(train::word_of(file, "step"), std::to_string(done));
  return done;
}

TEST(Loop, LeavesALineAStepACheckpointAndAResult) {
  const TemporaryFolder folder;
  EXPECT_EQ(run({{3.0, 1.0}, {2.0, 1.5}}, folder.path()),
            nlohmann::json::parse(R"({"steps":2,"diverged":false,"last_finite_step":2,"threads":1,"alarms":0,
                                      "stopped_by_alarm":false,"of_its_own":2})"));
  EXPECT_EQ(read_file(folder.path() / "metrics.jsonl"),
            R"({"step":1,"loss":3,"gradient_norm":1,"update_norm":0.5,"entropy":[[1,2]],"frobenius_norm":[[1,2]],)"
            R"("logit_variance":[[1,2]]})"
            "\n"
            R"({"step":2,"loss":2,"gradient_norm":1.5,"update_norm":0.5,"entropy":[[1,2]],"frobenius_norm":[[1,2]],)"
            R"("logit_variance":[[1,2]]})"
            "\n");
  EXPECT_EQ(step_of(folder.path() / "checkpoint" / "last.safetensors"), 2);
  EXPECT_FALSE(fs::exists(folder.path() / "checkpoint" / "before_divergence.safetensors"));
  EXPECT_EQ(read_file(folder.path() / "alarms.jsonl"), "");
}

TEST(Loop, EndsAtTheFirstLossOrGradientThatIsNotFinite) {
  for (const Step bad : {Step{kNan, 1.0}, {kInfinity, 1.0}, {1.0, kNan}, {1.0, -kInfinity}}) {
    const TemporaryFolder folder;
    const nlohmann::json result = run({{}, {}, bad, {}}, folder.path());
    EXPECT_EQ(result.at("diverged"), true);
    EXPECT_EQ(result.at("steps"), 3);
    EXPECT_EQ(result.at("last_finite_step"), 2);
    for (const char* name : {"last.safetensors", "before_divergence.safetensors"}) {
      EXPECT_EQ(step_of(folder.path() / "checkpoint" / name), 2) << name;
    }
    const std::string log = read_file(folder.path() / "metrics.jsonl");
    EXPECT_EQ(std::ranges::count(log, '\n'), 3);
    EXPECT_NE(log.find(R"({"step":3,)"), std::string::npos);
    EXPECT_NE(log.find(R"("update_norm":null)"), std::string::npos);
    // Killed between its last checkpoint and its result: it ends there again.
    fs::remove(folder.path() / "result.json");
    EXPECT_EQ(run({{}, {}, bad, {}}, folder.path()), result);
    EXPECT_EQ(read_file(folder.path() / "metrics.jsonl"), log);
  }
}

TEST(Loop, EndsAtAFirstStepThatIsNotFinite) {
  const TemporaryFolder folder;
  const nlohmann::json result = run({{kNan, kNan}, {}}, folder.path());
  EXPECT_EQ(result.at("diverged"), true);
  EXPECT_EQ(result.at("last_finite_step"), 0);
}

TEST(Loop, LeavesAFolderWithAResultAsItIs) {
  const TemporaryFolder folder;
  write_file(folder.path() / "result.json", "{}");
  EXPECT_EQ(run({{}, {}}, folder.path()), nlohmann::json::object());
  EXPECT_FALSE(fs::exists(folder.path() / "metrics.jsonl"));
}

TEST(Loop, RefusesACheckpointOfAnotherTraining) {
  const TemporaryFolder folder;
  const fs::path checkpoint = folder.path() / "checkpoint" / "last.safetensors";
  make_folder(checkpoint.parent_path());
  const std::array<std::int64_t, 1> done{3};
  const StoredTensor good{.name = "done", .dtype = Dtype::kI64, .shape = {1}, .bytes = std::as_bytes(std::span(done))};
  StoredTensor other_name = good, other_shape = good, other_type = good;
  other_name.name = "dose";
  other_shape.shape = {1, 1};
  other_type.dtype = Dtype::kF64;
  const auto complaint = [&](const StoredTensor& tensor, const SafetensorsMetadata& metadata) {
    write_safetensors(checkpoint, std::span(&tensor, 1), metadata);
    return complaint_of([&] { run({{}, {}, {}, {}}, folder.path()); });
  };
  const std::string opening = checkpoint.string() + " is no checkpoint of this run: ";
  for (const StoredTensor& one : {other_name, other_shape, other_type}) {
    EXPECT_EQ(complaint(one, {{"step", "3"}}), opening + "its tensor done is missing or different");
  }
  for (const char* step : {"-1", "5", "x", "3x", ""}) {
    EXPECT_EQ(complaint(good, {{"step", step}}), opening + "it is of no step from 0 to 4");
  }
  EXPECT_EQ(complaint(good, {}), opening + "it is of no step from 0 to 4");
}

TEST(Loop, NeedsTheNumbersThatAlarmsWatch) {
  const TemporaryFolder folder;
  Scripted training(std::vector<Step>(1));
  training.names = {"entropy", "logit_variance"};
  EXPECT_EQ(complaint_of([&] { train::run_training(training, {}, runs::RunFolder(folder.path()), Progress()); }),
            "step 1 has no \"frobenius_norm\" of its heads to watch");
}

}  // namespace
}  // namespace polariscope::testing
