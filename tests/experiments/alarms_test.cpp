// Alarms over trainings that are made up, so that which were announced is known.
#include "made_up_runs.h"
#include "polariscope/experiments/lipschitz/alarm_runs.h"
#include "polariscope/experiments/shared/training_sweep.h"

#include <cmath>

namespace polariscope::testing {
namespace {

constexpr int kSteps = 300, kTokens = 16;

std::string log_line(int step, double loss, double gradient, double share, double variance) {
  json line{{"step", step}, {"loss", loss}, {"gradient_norm", gradient}};
  line["entropy"] = {{share * std::log(kTokens)}, {0.9 * std::log(kTokens)}};
  line["frobenius_norm"] = {{(1.0 - share) * std::sqrt(kTokens)}, {1.2}};
  line["logit_variance"] = {{variance}, {2.0}};
  return line.dump() + "\n";  // what is not finite becomes null
}

// residual: collapses from step 50 on, its loss doubles at step 200, and explodes at the end. covariate: stays as it
// was, but for seed 0, which collapses without exploding. plain: explodes unannounced.
MadeUp trained(const json& settings) {
  const auto form = settings.at("layer_form").get<std::string>();
  const bool collapses = form == "residual" || (form == "covariate" && settings.at("seed") == 0);
  const bool explodes = form != "covariate";
  std::string log;
  for (int step = 1; step <= kSteps; ++step) {
    const bool narrow = collapses && step >= 50;
    const bool last = explodes && step == kSteps;
    const double loss = last ? NAN : form == "residual" && step >= 200 ? 5.0 : 1.0;
    log +=
        log_line(step, loss, last ? NAN : 1.0, narrow ? 0.05 : 0.9, narrow ? 2e3 * std::exp(0.02 * (step - 50)) : 2.0);
  }
  return {.metrics = {{"diverged", explodes}, {"steps", kSteps}}, .files = {{"metrics.jsonl", log}}};
}

const std::string kGrid =
    "task = \"in-context-regression\"\nattention = \"softmax\"\nlayers = 2\nsequence_length = 16\n"
    "layer_form = [\"residual\", \"covariate\", \"plain\"]\nseed = { from = 0, to = 3 }\n";

TEST(AlarmExperiment, CountsWhatWasAnnouncedAndWhatWasLeftAlone) {
  const MadeUpRuns runs(kGrid, trained);
  const experiments::AlarmCounts counts =
      experiments::counts_of(experiments::alarm_runs(experiments::TrainedRuns(runs.context())));
  EXPECT_EQ(counts.exploded, 8);
  EXPECT_EQ(counts.announced, 4);
  EXPECT_EQ(counts.before_loss, 4);
  EXPECT_EQ(counts.others, 4);
  EXPECT_EQ(counts.false_alarms, 1);
  EXPECT_DOUBLE_EQ(counts.precision(), 0.8);
  const report::Section section = runs.section_of("B.alarm");
  EXPECT_EQ(claim_named(section, "B.alarm/announced").verdict, report::Verdict::kFails);
  EXPECT_EQ(claim_named(section, "B.alarm/announced").measured, "4 of 8 explosions");
  EXPECT_EQ(claim_named(section, "B.alarm/collapse-early").verdict, report::Verdict::kHolds);
  EXPECT_EQ(claim_named(section, "B.alarm/left-alone").verdict, report::Verdict::kFails);
  EXPECT_NE(section.findings.find("1 of 4 other trainings with an alarm (covariate 1 of 4)"), std::string::npos)
      << section.findings;
  ASSERT_EQ(section.figures.size(), 5U);
  EXPECT_EQ(section.figures[3].title, "A false alarm");
  EXPECT_EQ(section.figures[2].table.rows(), static_cast<std::size_t>(kSteps));
}

TEST(AlarmExperiment, HoldsWhereAllAreAnnouncedAndShowsTheHardestThatWasLeftAlone) {
  const MadeUpRuns runs(
      "task = \"in-context-regression\"\nattention = \"softmax\"\nlayers = 2\nsequence_length = 16\nlayer_form = "
      "[\"residual\", "
      "\"covariate\"]\nseed = { from = 1, to = 3 }\n",
      trained);
  const report::Section section = runs.section_of("B.alarm");
  for (const report::Claim& claim : section.claims) EXPECT_EQ(claim.verdict, report::Verdict::kHolds) << claim.id;
  EXPECT_EQ(section.figures[3].title, "The hardest to leave alone");
}

TEST(AlarmExperiment, WithoutAnExplosionIsInconclusive) {
  const MadeUpRuns runs(
      "task = \"in-context-regression\"\nattention = \"softmax\"\nlayers = 2\nsequence_length = 16\nlayer_form = "
      "\"covariate\"\nseed = 1\n",
      trained);
  const report::Section section = runs.section_of("B.alarm");
  EXPECT_EQ(claim_named(section, "B.alarm/announced").verdict, report::Verdict::kInconclusive);
  EXPECT_EQ(claim_named(section, "B.alarm/left-alone").verdict, report::Verdict::kHolds);
}

TEST(ShownStep, IsTheFirstLossAboveTwiceTheMedianOrNotFinite) {
  std::vector<runs::WatchedStep> steps;
  for (int step = 1; step <= 20; ++step) steps.push_back({.step = step, .loss = step == 2 ? 9.0 : 1.0, .readings = {}});
  EXPECT_EQ(experiments::shown_step(steps), 0) << "the first five are not judged";
  steps[14].loss = 2.1;
  EXPECT_EQ(experiments::shown_step(steps), 15);
  steps[9].loss = NAN;
  EXPECT_EQ(experiments::shown_step(steps), 10);
}

TEST(ShownStep, TakesTheMeanOfTheMiddleTwoLossesAsTheirMedian) {
  std::vector<runs::WatchedStep> steps;
  for (const double loss : {1.0, 3.0, 1.0, 3.0, 1.9, 3.0, 5.5}) {
    steps.push_back({.step = static_cast<std::int64_t>(steps.size()) + 1, .loss = loss, .readings = {}});
  }
  EXPECT_EQ(experiments::shown_step(steps), 7) << "5.5 is above twice 2.45, not above twice 3";
}

TEST(TrainingSweep, QuickIsTheWholeGridWhereThereIsNoSmallerOne) {
  EXPECT_EQ(experiments::grid_of("regression-alarm", experiments::Preset::kQuick), "regression-alarm");
  EXPECT_EQ(experiments::grid_of("induction", experiments::Preset::kQuick), "induction-quick");
  EXPECT_EQ(experiments::grid_of("induction", experiments::Preset::kPaper), "induction");
  EXPECT_EQ(experiments::grid_of("induction", experiments::Preset::kSmall), "induction-quick");
  EXPECT_EQ(experiments::grid_of("language", experiments::Preset::kSmall), "language-small");
}

}  // namespace
}  // namespace polariscope::testing
