#include "polariscope/sweep/edge_verdict.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace polariscope::sweep {
namespace {

class EdgeVerdictTest : public ::testing::Test {
 protected:
  // A hundred steps, of which loss and entropy are told by the step. Two heads, of which the second has no entropy.
  template <class Loss, class Entropy>
  CollapseSign sign(const Loss& loss, const Entropy& entropy, double share = 0.1) const {
    std::string text;
    for (int step = 1; step <= 100; ++step) {
      text += fmt::format(R"({{"step":{},"loss":{},"gradient_norm":1,"entropy":[[{},null]],"frobenius_norm":[[1,1]],)"
                          R"("logit_variance":[[1,1]]}})"
                          "\n",
                          step, loss(step), entropy(step));
    }
    write_file(folder_.path() / "metrics.jsonl", text);
    return verdict_of_steps(folder_.path(), share).sign;
  }

  testing::TemporaryFolder folder_;
};

double steady(int) { return 2.0; }

TEST_F(EdgeVerdictTest, ATrainingThatLearnsNothingHeld) { EXPECT_EQ(sign(steady, steady), CollapseSign::kNone); }

TEST_F(EdgeVerdictTest, EntropyCountsOverTheLastTenthAsAShareOfTheFirstStep) {
  const auto falls_to = [](double share) { return [share](int step) { return step <= 90 ? 2.0 : 2.0 * share; }; };
  EXPECT_EQ(sign(steady, falls_to(0.09)), CollapseSign::kEntropy);
  EXPECT_EQ(sign(steady, falls_to(0.11)), CollapseSign::kNone);
  EXPECT_EQ(sign(steady, falls_to(0.0), 0.0), CollapseSign::kNone);  // not asked for
  EXPECT_EQ(sign(steady, [](int step) { return step > 20 && step <= 90 ? 0.0 : 2.0; }), CollapseSign::kNone);  // back
}

TEST_F(EdgeVerdictTest, LossCountsWhereATenthOfTheStepsIsFarAboveTheFirst) {
  const auto bump = [](double height, int steps) {
    return [=](int step) { return step > 30 && step <= 30 + steps ? height : 2.0; };
  };
  EXPECT_EQ(sign(bump(3.1, 10), steady), CollapseSign::kLoss);
  EXPECT_EQ(sign(bump(2.9, 10), steady), CollapseSign::kNone);
  EXPECT_EQ(sign(bump(8.0, 1), steady), CollapseSign::kNone);  // a spike of one batch
}

TEST_F(EdgeVerdictTest, TheResultSpeaksFirst) {
  const auto sign_of = [&](const std::filesystem::path& folder, const std::string& result) {
    return verdict_of_run(folder, result, 0.1).sign;
  };
  EXPECT_EQ(sign_of("nowhere", R"({"diverged": true, "loss": null})"), CollapseSign::kDiverged);
  EXPECT_EQ(sign_of("nowhere", R"({"diverged": false, "stopped_by_alarm": true})"), CollapseSign::kAlarm);
  EXPECT_EQ(sign(steady, steady), CollapseSign::kNone);
  EXPECT_EQ(sign_of(folder_.path(), R"({"diverged": false, "stopped_by_alarm": false})"), CollapseSign::kNone);
}

TEST_F(EdgeVerdictTest, TellsTheLossOfTheLastTenth) {
  sign([](int step) { return step <= 90 ? 2.0 : step / 100.0; }, steady);
  EXPECT_DOUBLE_EQ(verdict_of_steps(folder_.path(), 0.1).loss, 0.955);
}

TEST_F(EdgeVerdictTest, ARunWithoutStepsIsNotJudged) {
  write_file(folder_.path() / "metrics.jsonl", "");
  const std::string complaint = testing::complaint_of([&] { verdict_of_steps(folder_.path(), 0.1); });
  EXPECT_NE(complaint.find("metrics.jsonl"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace polariscope::sweep
