// Sweeps as experiments read them, and experiments that cannot train.
#include "polariscope/experiments/shared/trained_runs.h"

#include "made_up_runs.h"
#include "polariscope/experiments/reproduce.h"
#include "polariscope/experiments/shared/training_sweep.h"
#include "polariscope/experiments/sweep_report.h"
#include "polariscope/runs/options.h"
#include "polariscope/sweep/shipped_grids.h"
#include "support/complaint.h"

#include <fmt/format.h>

#include <cmath>
#include <variant>

namespace polariscope::testing {
namespace {

TEST(TrainedRuns, AreFoundByTheirSettings) {
  const MadeUpRuns made("task = \"induction\"\nattention = [\"softmax\", \"elu1\"]\nheads = [1, 2]\nseed = [0, 1, 2]\n",
                        [](const json& settings) {
                          return MadeUp{{{"accuracy", settings.at("heads") == 1 ? 0.96 : 0.95}}};
                        });
  const experiments::TrainedRuns runs(made.context());
  EXPECT_EQ(runs.done().size(), 12U);
  EXPECT_EQ(runs.attentions(), (std::vector<std::string>{"softmax", "elu1"}));
  EXPECT_EQ(runs.where({{"heads", 1}}).size(), 6U);
  EXPECT_EQ(runs.where({{"heads", 1}, {"attention", nullptr}}).size(), 6U);
  EXPECT_EQ(runs.where({{"heads", 3}}).size(), 0U);
  EXPECT_EQ(experiments::learned(runs.done()).size(), 6U);
  EXPECT_EQ(runs.combinations({"attention", "heads"}).size(), 4U);
  EXPECT_EQ(runs.combinations({"attention"}, {{"heads", 2}}).front(), (json{{"heads", 2}, {"attention", "softmax"}}));
  EXPECT_TRUE(runs.combinations({"attention"}, {{"heads", 3}}).empty());
  EXPECT_TRUE(std::isnan(runs.done().front().metric("flip_rate")));
  const auto configuration = experiments::configuration_of(runs);
  EXPECT_NE(std::ranges::find(configuration, std::pair<std::string, std::string>("heads", "1, 2")),
            configuration.end());
}

TEST(TrainedRuns, HaveTheDefaultsOfTheirTaskForWhatTheGridLeavesOut) {
  for (const std::string_view task : runs::find_option(runs::options(), "task")->choices) {
    const MadeUpRuns made(fmt::format("task = \"{}\"\nbatch = 7\n", task), [](const json&) {
      return MadeUp{{{"accuracy", 1.0}}};
    });
    const experiments::TrainedRuns runs(made.context());
    const json& settings = runs.done().front().settings;
    EXPECT_EQ(settings.at("batch"), 7);
    for (const runs::Option& option : runs::defining_options()) {
      const runs::OptionDefault* usual = runs::default_of(option, task);
      EXPECT_EQ(settings.contains(option.name), usual != nullptr) << option.name;
      if (usual == nullptr || option.name == "batch" || option.name == "task" || option.only_with) continue;
      std::visit([&](const auto& value) { EXPECT_EQ(settings.at(option.name), value) << option.name; }, usual->value);
    }
  }
  const MadeUpRuns bare("batch = 7\n", [](const json&) { return MadeUp{{{"accuracy", 1.0}}}; });
  const experiments::TrainedRuns runs(bare.context());
  EXPECT_EQ(runs.attentions(), std::vector<std::string>{"softmax"});
  EXPECT_EQ(runs.where({{"task", "induction"}, {"auxiliary_loss", 0.2}, {"momentum", 0.0}}).size(), 1U);
}

TEST(TrainedRuns, SayOnHowManyThreadsTheyWereTrained) {
  const auto words = [](const json& first, const json& second) {
    const MadeUpRuns made("task = \"induction\"\nseed = [0, 1]\n", [&](const json& settings) {
      const json& threads = settings.at("seed") == 0 ? first : second;
      return MadeUp{threads.is_null() ? json{{"accuracy", 1.0}} : json{{"accuracy", 1.0}, {"threads", threads}}};
    });
    const std::string text = experiments::TrainedRuns(made.context()).count_in_words();
    return text.substr(0, text.find(", which took"));
  };
  EXPECT_EQ(words(nullptr, nullptr), "2 of 2 trainings are done");
  EXPECT_EQ(words(1, 1), "2 of 2 trainings are done, each on one thread");
  EXPECT_EQ(words(2, nullptr), "2 of 2 trainings are done, each on 2 threads");
  EXPECT_EQ(words(1, "1 + 2"), "2 of 2 trainings are done, each on 1 or 1 + 2 threads");
}

TEST(SweepReport, ShowsTheRunsThatAreDoneWhateverTheOthersDo) {
  const MadeUpRuns made(
      "task = \"induction\"\nattention = [\"softmax\", \"elu1\"]\npositions = \"add\"\nshift_query_token = "
      "true\nauxiliary_loss = 0.2\nheads = [1, 2]\nseed = [0, 1, 2]\n",
      [](const json& settings) {
        if (settings.at("seed") == 2) return MadeUp{};
        return MadeUp{{{"accuracy", 0.99}, {"sink_fraction", 1.0}, {"sink_score", 0.97}}};
      });
  const std::filesystem::path report = experiments::write_sweep_report(made.context().out / made.context().sweep);
  EXPECT_EQ(report, made.context().out / made.context().sweep / "report.html");
  const std::string page = read_file(report);
  for (const char* part : {"8 of 12 trainings", "A.fig4", "polariscope sweep report", "runs/0000"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(page.find("where the paper preset takes"), std::string::npos)
      << "a grid of one's own is no cut of the paper's";
}

TEST(TrainingSweep, SaysHowLongItWillTakeAndOnWhatThatRests) {
  const experiments::TrainingSweep sweep{.grid = "induction", .folder = {}, .program = {}, .jobs = 2};
  const std::string line = experiments::announcement(sweep);
  for (const char* part : {"8640 trainings", "2 at once", "days", "measured"}) {
    EXPECT_NE(line.find(part), std::string::npos) << line;
  }
}

TEST(TrainingSweep, EndsNoTrainingThatIsAsLongAsItsGridSays) {
  constexpr double kDay = 24 * 3600.0, kYear = 365 * kDay;
  EXPECT_EQ(experiments::time_limit("language-quick"), kDay);
  EXPECT_EQ(experiments::time_limit("own.toml"), kDay);
  EXPECT_GT(experiments::time_limit("language"), kYear);
}

TEST(TrainingSweep, EveryShippedGridHasACostOnFileAndAnotherIsSaidToHaveNone) {
  for (const std::string_view grid : sweep::shipped_grid_names()) {
    const std::string line =
        experiments::announcement({.grid = std::string(grid), .folder = {}, .program = {}, .jobs = 2});
    EXPECT_NE(line.find("measured"), std::string::npos) << line;
  }
  const TemporaryFolder folder;
  const std::filesystem::path own = folder.path() / "own.toml";
  write_file(own, "task = \"induction\"\nseed = [0, 1]\n");
  const std::string line = experiments::announcement({.grid = own.string(), .folder = {}, .program = {}, .jobs = 2});
  EXPECT_NE(line.find("2 trainings, 2 at once: how long they take is not known"), std::string::npos) << line;
}

TEST(TrainingSweep, SaysWhatTheQuickGridCuts) {
  const std::string cuts = experiments::grid_cuts("induction", experiments::Preset::kQuick);
  EXPECT_TRUE(cuts.starts_with("42 trainings where the paper preset takes 8\u202f640: ")) << cuts;
  for (const char* part : {"width 64 for 128", "mlp false for true", "heads 2 for 1, 2, 4, 8",
                           "attention without elu1_kernel, mlp/max1, mlp, uniform", "positions without no"}) {
    EXPECT_NE(cuts.find(part), std::string::npos) << cuts;
  }
  EXPECT_EQ(cuts.find("evaluation_sequences"), std::string::npos) << cuts;
  EXPECT_EQ(experiments::grid_cuts("regression-alarm", experiments::Preset::kQuick), "") << "quick runs the whole grid";
}

TEST(Reproduce, SkipsExperimentsThatNeedLibTorchInABuildWithout) {
  const TemporaryFolder folder;
  ProgressBoard board(ProgressBoard::Mode::kQuiet);
  const experiments::Reproduction result = experiments::reproduce({.ids = {"A.fig4", "A.fig6"},
                                                                   .out = folder.path() / "out",
                                                                   .training_program = "nowhere",
                                                                   .transformers = false,
                                                                   .announce = {}},
                                                                  board);
  EXPECT_TRUE(result.errors.empty());
  EXPECT_TRUE(result.page.unfinished.empty());
  ASSERT_EQ(result.page.skipped.size(), 2U);
  EXPECT_EQ(result.page.skipped.front().first, "A.fig4");
  EXPECT_NE(read_file(result.report).find("has no LibTorch"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
