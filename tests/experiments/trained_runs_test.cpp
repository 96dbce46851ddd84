// Sweeps as experiments read them, and experiments that cannot train.
#include "polariscope/experiments/trained_runs.h"

#include "made_up_runs.h"
#include "polariscope/experiments/reproduce.h"
#include "polariscope/experiments/training_sweep.h"

#include <cmath>

namespace polariscope::testing {
namespace {

TEST(TrainedRuns, AreFoundByTheirSettings) {
  const MadeUpRuns made("task = \"induction\"\nattention = [\"softmax\", \"elu1\"]\nheads = [1, 2]\nseed = [0, 1, 2]\n",
                        [](const json& settings) {
                          return MadeUp{{{"accuracy", settings.at("heads") == 1 ? 0.96 : 0.95}}};
                        });
  const TrainedRuns runs(made.context());
  EXPECT_EQ(runs.done().size(), 12U);
  EXPECT_EQ(runs.attentions(), (std::vector<std::string>{"softmax", "elu1"}));
  EXPECT_EQ(runs.where({{"heads", 1}}).size(), 6U);
  EXPECT_EQ(runs.where({{"heads", 1}, {"attention", nullptr}}).size(), 6U);
  EXPECT_EQ(runs.where({{"heads", 3}}).size(), 0U);
  EXPECT_EQ(learned(runs.done()).size(), 6U);
  EXPECT_TRUE(std::isnan(runs.done().front().metric("flip_rate")));
  const auto configuration = configuration_of(runs);
  EXPECT_NE(std::ranges::find(configuration, std::pair<std::string, std::string>("heads", "1, 2")),
            configuration.end());
}

TEST(TrainingSweep, SaysHowLongItWillTakeAndOnWhatThatRests) {
  const TrainingSweep sweep{.grid = "induction", .folder = {}, .program = {}, .jobs = 2};
  const std::string line = announcement(sweep);
  for (const char* part : {"8640 trainings", "2 at once", "days", "measured"}) {
    EXPECT_NE(line.find(part), std::string::npos) << line;
  }
}

TEST(Reproduce, SkipsExperimentsThatTrainWhereNothingCanTrain) {
  const TemporaryFolder folder;
  ProgressBoard board(ProgressBoard::Mode::kQuiet);
  const Reproduction result = reproduce(
      {.ids = {"A.fig4", "A.fig6"}, .out = folder.path() / "out", .training_program = "nowhere", .announce = {}},
      board);
  EXPECT_TRUE(result.errors.empty());
  EXPECT_TRUE(result.page.unfinished.empty());
  ASSERT_EQ(result.page.skipped.size(), 2U);
  EXPECT_EQ(result.page.skipped.front().first, "A.fig4");
  EXPECT_NE(read_file(result.report).find("has no LibTorch"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
