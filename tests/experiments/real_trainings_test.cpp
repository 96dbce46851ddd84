// From a grid to figures with real trainings, tiny ones: nothing is learned, everything is written and read.
#include "polariscope/base/files.h"
#include "polariscope/base/progress.h"
#include "polariscope/experiments/shared/report_parts.h"
#include "polariscope/experiments/sweep_report.h"
#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/sweep.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

void train_all(const std::string& grid, const std::filesystem::path& folder) {
  ProgressBoard board(ProgressBoard::Mode::kQuiet);
  sweep::LocalWorkers workers({.program = {POLARISCOPE_TRAIN, "train", "--threads", "1"}}, 2);
  const sweep::SweepEnd end =
      sweep::run_sweep(sweep::Grid::parse(grid, "grid.toml", runs::defining_options()), folder, {}, workers, board);
  EXPECT_EQ(end.tally.failed, 0);
}

// The experiments' sections of a sweep over `grid`.
std::vector<report::Section> sections_of(const std::string& grid, const std::vector<std::string>& ids) {
  const TemporaryFolder folder;
  train_all(grid, folder.path() / "runs" / "tiny");
  std::vector<report::Section> sections;
  for (const std::string& id : ids) {
    sections.push_back(experiments::named_section(experiments::find_experiment(id),
                                                  {.out = folder.path(), .sweep = "runs/tiny", .progress = {}}));
    EXPECT_FALSE(sections.back().claims.empty()) << id;
    EXPECT_FALSE(sections.back().figures.empty()) << id;
  }
  return sections;
}

TEST(RealTrainings, OfTokenGroupsGiveFiguresFiveSixNineAndFThree) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  // Groups are learned in a few dozen steps: here all three seeds pass the filter.
  const auto sections = sections_of(
      "task = \"token-groups\"\npositions = \"no\"\nattention = \"softmax\"\nvocabulary = 81\nlayers = 1\nheads = 1\n"
      "width = 32\nmlp = false\nlayer_norm = false\nlearning_rate = 1e-2\ntraining_sequences = 3200\nepochs = 1\n"
      "batch = 32\nevaluation_sequences = 200\nseed = [0, 1, 2]\n",
      {"A.fig5", "A.fig6", "A.fig9", "A.figF3"});
  EXPECT_EQ(sections[0].claims.front().runs, 12);  // three models, four sequences
  EXPECT_EQ(sections[1].claims.front().runs, 3);
  EXPECT_EQ(sections[2].figures.front().spec.at("concat").size(), 4U);
}

TEST(RealTrainings, OfInductionGiveFiguresOneFourSevenAndFTwo) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  const auto sections = sections_of(
      "task = \"induction\"\npositions = \"add\"\nshift_query_token = true\nauxiliary_loss = 0.2\n"
      "attention = [\"softmax\", \"identity\"]\nheads = 2\nwidth = 16\nmlp = false\ntraining_sequences = 320\nepochs = "
      "1\n"
      "batch = 32\nevaluation_sequences = 100\nseed = 0\n",
      {"A.fig1", "A.fig4", "A.figF2", "A.fig7"});
  for (const report::Section& section : sections) {
    for (const report::Claim& claim : section.claims)
      EXPECT_EQ(claim.verdict, report::Verdict::kInconclusive) << claim.id;
  }
}

TEST(RealTrainings, OfInContextRegressionGiveTheLipschitzPapersFigures) {
  const auto sections = sections_of(
      "task = \"in-context-regression\"\nlayers = 2\nsteps = 20\nbatch = 16\nlearning_rate = 0.1\nmomentum = 0.8\n"
      "attention = [\"softmax\", \"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\n"
      "layer_form = \"residual\"\nseed = { from = 0, to = 4 }\n"
      "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n",
      {"B.fig1", "B.fig3", "B.fig4", "B.fig6", "B.fig8", "B.fig10", "B.fig11", "B.mitigations", "B.bound9-trained",
       "B.sec4.1", "B.sec5.3", "B.appD", "B.norm", "B.batch", "B.forms", "B.maps"});
  for (const report::Claim& claim : sections[0].claims) EXPECT_EQ(claim.runs, 5) << claim.id;
  // Twenty small steps change little.
  EXPECT_EQ(sections[0].claims.front().verdict, report::Verdict::kFails);
  EXPECT_EQ(sections[5].figures.front().spec.at("concat").size(), 2U);   // layers
  EXPECT_EQ(sections[6].figures.front().spec.at("concat").size(), 12U);  // six maps of two attentions
  // Two layers of five runs on four sequences, and both right sides are theorems.
  EXPECT_EQ(sections[8].claims[0].runs, 40);
  for (const std::size_t side : {0U, 1U}) EXPECT_EQ(sections[8].claims[side].verdict, report::Verdict::kHolds);
}

TEST(RealTrainings, OfLanguageModelsGiveTheLipschitzPapersFigures) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  const auto sections = sections_of(
      "task = \"language-model\"\ndata = \"example\"\nmodel = [\"llama-3m\", \"gpt2-15m\"]\ncontext = 16\nbatch = 1\n"
      "steps = 2\nvalidation_every = 1\nvalidation_sequences = 1\n"
      "attention = [\"softmax\", \"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\n"
      "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n",
      {"B.fig1top", "B.fig5", "B.fig7"});
  for (const report::Section& section : sections) {
    for (const report::Claim& claim : section.claims) EXPECT_EQ(claim.runs, 1) << claim.id;
  }
  EXPECT_EQ(sections[0].claims[0].verdict, report::Verdict::kFails);  // two small steps change little
  EXPECT_EQ(sections[0].figures[1].spec.at("concat").size(), 4U);     // llama-3m's layers
  EXPECT_EQ(sections[2].figures[1].spec.at("concat").size(), 6U);     // gpt2-15m's
}

// As in docs/sweeps.md: a grid names what it varies, and what its runs are sized by.
TEST(RealTrainings, OfEveryTaskAreReportedWhereTheGridLeavesSettingsAtTheirDefaults) {
  if (!POLARISCOPE_LIBTORCH) GTEST_SKIP() << "there is no LibTorch to train transformers with";
  const std::string small = "training_sequences = 64\nepochs = 1\nbatch = 32\nevaluation_sequences = 50\nwidth = 16\n";
  for (const std::string& grid : {
           small + "attention = [\"softmax\", \"relu/sum\"]\nheads = [1, 2]\n",
           small + "task = \"induction\"\n",
           small + "task = \"token-groups\"\nmlp = [true, false]\n",
           std::string("task = \"in-context-regression\"\nsteps = 20\nbatch = 16\n"),
           std::string("task = \"in-context-regression\"\nsteps = 20\nbatch = 16\nqk_norm = [\"no\", \"l2\"]\n"),
           std::string("task = \"language-model\"\ndata = \"example\"\ncontext = 16\nsteps = 2\nbatch = 1\n"),
       }) {
    SCOPED_TRACE(grid);
    const TemporaryFolder folder;
    train_all(grid, folder.path() / "sweep");
    const std::string page = read_file(experiments::write_sweep_report(folder.path() / "sweep"));
    EXPECT_EQ(page.find("<strong>Skipped.</strong>"), std::string::npos)
        << page.substr(page.find("<strong>Skipped.</strong>"), 300);
  }
}

}  // namespace
}  // namespace polariscope::testing
