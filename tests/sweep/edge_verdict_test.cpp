#include "polariscope/sweep/edge_verdict.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace polariscope::sweep {
namespace {

class EdgeVerdict : public ::testing::Test {
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
    return sign_of_steps(folder_.path(), share);
  }

  testing::TemporaryFolder folder_;
};

double steady(int) { return 2.0; }

TEST_F(EdgeVerdict, ATrainingThatLearnsNothingHeld) { EXPECT_EQ(sign(steady, steady), CollapseSign::kNone); }

TEST_F(EdgeVerdict, EntropyCountsOverTheLastTenthAsAShareOfTheFirstStep) {
  const auto falls_to = [](double share) { return [share](int step) { return step <= 90 ? 2.0 : 2.0 * share; }; };
  EXPECT_EQ(sign(steady, falls_to(0.09)), CollapseSign::kEntropy);
  EXPECT_EQ(sign(steady, falls_to(0.11)), CollapseSign::kNone);
  EXPECT_EQ(sign(steady, falls_to(0.0), 0.0), CollapseSign::kNone);  // not asked for
  EXPECT_EQ(sign(steady, [](int step) { return step > 20 && step <= 90 ? 0.0 : 2.0; }), CollapseSign::kNone);  // back
}

TEST_F(EdgeVerdict, LossCountsWhereATenthOfTheStepsIsFarAboveTheFirst) {
  const auto bump = [](double height, int steps) {
    return [=](int step) { return step > 30 && step <= 30 + steps ? height : 2.0; };
  };
  EXPECT_EQ(sign(bump(3.1, 10), steady), CollapseSign::kLoss);
  EXPECT_EQ(sign(bump(2.9, 10), steady), CollapseSign::kNone);
  EXPECT_EQ(sign(bump(8.0, 1), steady), CollapseSign::kNone);  // a spike of one batch
}

TEST_F(EdgeVerdict, TheResultSpeaksFirst) {
  EXPECT_EQ(sign_of_run("nowhere", R"({"diverged": true, "loss": null})", 0.1), CollapseSign::kDiverged);
  EXPECT_EQ(sign_of_run("nowhere", R"({"diverged": false, "stopped_by_alarm": true})", 0.1), CollapseSign::kAlarm);
  EXPECT_EQ(sign(steady, steady), CollapseSign::kNone);
  EXPECT_EQ(sign_of_run(folder_.path(), R"({"diverged": false, "stopped_by_alarm": false})", 0.1), CollapseSign::kNone);
}

TEST_F(EdgeVerdict, ARunWithoutStepsIsNotJudged) {
  write_file(folder_.path() / "metrics.jsonl", "");
  const std::string complaint = testing::complaint_of([&] { sign_of_steps(folder_.path(), 0.1); });
  EXPECT_NE(complaint.find("metrics.jsonl"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace polariscope::sweep
