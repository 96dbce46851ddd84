// Verdicts on trainings of in-context regression whose logs are made up, so that what must come out is known.
#include "made_up_regression.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/sweep_report.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

namespace polariscope::testing {
namespace {

constexpr const char* kIds[] = {"B.fig1",  "B.fig3",  "B.fig4",   "B.fig6",   "B.fig8",
                                "B.fig10", "B.fig11", "B.sec4.1", "B.sec5.3", "B.appD",
                                "B.norm",  "B.batch", "B.forms",  "B.maps",   "B.mitigations"};

std::string grid(int seeds, const std::string& forms = "\"residual\"") {
  return fmt::format(
      "task = \"in-context-regression\"\nsequence_length = {}\nlayers = 2\nsteps = 100\n"
      "attention = [\"softmax\", \"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\n"
      "layer_form = [{}]\nbatch = [10, 20]\nseed = {{ from = 1, to = {} }}\n"
      "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n",
      kTokens, forms, seeds);
}

bool is_softmax(const json& settings) {
  return settings.at("attention") == "softmax" && settings.at("qk_norm") == "no";
}

// Softmax loses entropy and diverges after step 80 on batches of 20, after 70 on those of 10; all others keep it.
MadeUp as_the_paper_says(const json& settings) {
  if (!is_softmax(settings)) return made_up({.kept = settings.at("attention") == "elu1_kernel/sum" ? 0.9 : 0.8});
  return made_up({.collapses = true, .ends = settings.at("batch") == 20 ? 80 : 70, .loss = 2.0, .variance_rate = 0.1});
}

// The other way round: softmax is the one that keeps its entropy.
MadeUp as_it_does_not(const json& settings) {
  if (is_softmax(settings)) return made_up({});
  return made_up({.collapses = true, .ends = 20, .loss = 2.0, .variance_rate = 0.1});
}

report::Verdict verdict(const report::Section& section, const std::string& id) {
  return claim_named(section,
                     fmt::format("{}/{}", section.claims.front().id.substr(0, section.claims.front().id.find('/')), id))
      .verdict;
}

TEST(RegressionRun, KnowsWhenItCollapsedAndWhereItEnded) {
  const MadeUpRuns made(grid(1), as_the_paper_says);
  const experiments::RegressionRuns runs(made.context());
  EXPECT_EQ(runs.batch, 20);  // as many runs as of 10
  const std::vector<experiments::RegressionRun> softmax = runs.read({"softmax"});
  ASSERT_EQ(softmax.size(), 1U);
  const experiments::RegressionRun& run = softmax.front();
  EXPECT_EQ(run.last_step(), 80.0);     // step 81 was not finite
  EXPECT_EQ(run.collapse_of(0), 30.0);  // e^-3 < 0.05
  EXPECT_EQ(run.collapse_of(1), 60.0);
  EXPECT_EQ(run.first_collapse()->layer, 0);
  EXPECT_TRUE(std::isnan(run.final_loss()));
  EXPECT_EQ(run.lowest_loss(), 2.0);
  EXPECT_DOUBLE_EQ(run.gradient_peak(), 1e9);
  const experiments::RegressionRun relu = runs.read({"relu_kernel/sum"}).front();
  EXPECT_FALSE(relu.first_collapse());
  EXPECT_EQ(relu.last_step(), 100.0);
  EXPECT_EQ(relu.final_loss(), 1.0);
  EXPECT_NEAR(relu.lowest_entropy(), 0.79, 1e-12);
  const experiments::Windows windows = experiments::windows_of({run, relu}, experiments::capped("loss", 30.0), 10);
  EXPECT_EQ(windows.step.front(), 1.0);
  EXPECT_EQ(windows.step.back(), 100.0);
  EXPECT_TRUE(std::isnan(windows.runs[0].back()));
  EXPECT_EQ(windows.runs[1].back(), 1.0);
}

TEST(RegressionFigures, HaveAFigureForEveryClaim) {
  const MadeUpRuns runs(grid(5), as_the_paper_says);
  for (const char* id : kIds) {
    SCOPED_TRACE(id);
    const report::Section section = runs.section_of(id);
    EXPECT_FALSE(section.findings.empty());
    EXPECT_NE(section.differences.find("where the paper preset takes"), std::string::npos) << section.differences;
    std::set<std::string> figures, claims;
    for (const report::Figure& figure : section.figures) {
      figures.insert(figure.id);
      EXPECT_GT(figure.table.rows(), 0U) << figure.id;
    }
    for (const report::Claim& claim : section.claims) {
      EXPECT_TRUE(claims.insert(claim.id).second) << claim.id << " is there twice";
      EXPECT_TRUE(claim.id.starts_with(std::string(id) + "/")) << claim.id;
      EXPECT_TRUE(figures.contains(claim.evidence)) << claim.id << " has no figure " << claim.evidence;
    }
  }
}

TEST(SweepReport, FindsTheReadersOfInContextRegression) {
  const MadeUpRuns runs(grid(1), as_the_paper_says);
  const std::string page = read_file(experiments::write_sweep_report(runs.context().out / runs.context().sweep));
  for (const char* part : {"8 of 8 trainings", "B.fig1", "B.mitigations"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

TEST(RegressionFigures, HoldWhereRunsAreAsThePaperSays) {
  const MadeUpRuns runs(grid(5), as_the_paper_says);
  const report::Section one = runs.section_of("B.fig1");
  for (const char* id : {"softmax-collapses", "softmax-explodes", "relu-keeps", "relu-stable", "elu1-keeps",
                         "elu1-stable", "relu-below", "kernel-loss"}) {
    EXPECT_EQ(verdict(one, id), report::Verdict::kHolds) << id;
  }
  EXPECT_EQ(verdict(one, "layernorm-collapses"), report::Verdict::kFails);
  EXPECT_EQ(verdict(one, "layernorm-explodes"), report::Verdict::kFails);
  const report::Section three = runs.section_of("B.norm");
  for (const char* id : {"softmax-norm", "relu_kernel/sum", "elu1_kernel/sum"}) {
    EXPECT_EQ(verdict(three, id), report::Verdict::kHolds) << id;
  }
  const report::Section six = runs.section_of("B.batch");
  for (const char* id : {"lead", "variance", "gradient", "batch"})
    EXPECT_EQ(verdict(six, id), report::Verdict::kHolds) << id;
  EXPECT_EQ(claim_named(six, "B.batch/lead").low, 40.0);   // batch 10
  EXPECT_EQ(claim_named(six, "B.batch/lead").high, 50.0);  // batch 20
  EXPECT_NE(six.findings.find("layer 1 in 5"), std::string::npos) << six.findings;
  for (const char* id : {"softmax", "relu", "elu1"}) {
    EXPECT_EQ(verdict(runs.section_of("B.fig6"), id), report::Verdict::kHolds) << id;
  }
  for (const char* id : {"variance-kernels", "norm", "skewness"}) {
    EXPECT_EQ(verdict(runs.section_of("B.maps"), id), report::Verdict::kHolds) << id;
  }
  const report::Section mitigations = runs.section_of("B.mitigations");
  for (const char* id : {"QK-LayerNorm", "relu_kernel/sum", "elu1_kernel/sum", "order", "loss"}) {
    EXPECT_EQ(verdict(mitigations, id), report::Verdict::kHolds) << id;
  }
}

TEST(RegressionFigures, FailWhereRunsAreOtherwise) {
  const MadeUpRuns runs(grid(5), as_it_does_not);
  const report::Section one = runs.section_of("B.fig1");
  for (const char* id : {"softmax-collapses", "softmax-explodes", "relu-keeps", "relu-stable", "elu1-keeps",
                         "elu1-stable", "kernel-loss"}) {
    EXPECT_NE(verdict(one, id), report::Verdict::kHolds) << id;
  }
  const report::Section layers = runs.section_of("B.fig6");
  for (const char* id : {"softmax", "relu", "elu1"}) {
    EXPECT_EQ(verdict(layers, id), report::Verdict::kFails) << id;
  }
  EXPECT_EQ(verdict(runs.section_of("B.batch"), "lead"), report::Verdict::kInconclusive);  // no softmax run diverges
  const report::Section mitigations = runs.section_of("B.mitigations");
  for (const char* id : {"QK-LayerNorm", "relu_kernel/sum", "order"}) {
    EXPECT_EQ(verdict(mitigations, id), report::Verdict::kFails) << id;  // they diverge at step 20, before the collapse
  }
  EXPECT_EQ(verdict(mitigations, "loss"), report::Verdict::kInconclusive);
}

TEST(BatchesOfRegression, FailsWhereTrainingDivergesBeforeEntropyIsGone) {
  const MadeUpRuns runs(grid(5), [](const json& settings) {
    return made_up(
        {.collapses = is_softmax(settings), .ends = settings.at("seed") == 3 ? 20 : 80, .variance_rate = 0.1});
  });
  const report::Section six = runs.section_of("B.batch");
  EXPECT_EQ(verdict(six, "lead"), report::Verdict::kFails);
  EXPECT_EQ(verdict(six, "batch"), report::Verdict::kFails);  // both batches end after as many steps
}

TEST(FormsOfRegression, JudgesEachLayerFormByItself) {
  const MadeUpRuns runs(grid(5, "\"residual\", \"plain\""), [](const json& settings) {
    return settings.at("layer_form") == "plain" ? as_it_does_not(settings) : as_the_paper_says(settings);
  });
  const report::Section eight = runs.section_of("B.forms");
  EXPECT_EQ(verdict(eight, "residual/softmax-collapses"), report::Verdict::kHolds);
  EXPECT_EQ(verdict(eight, "residual/qk-layernorm-diverges"), report::Verdict::kFails);
  EXPECT_EQ(verdict(eight, "plain/softmax-collapses"), report::Verdict::kFails);
  EXPECT_EQ(verdict(eight, "plain/qk-layernorm-diverges"), report::Verdict::kHolds);
  EXPECT_EQ(verdict(eight, "covariate/softmax-collapses"), report::Verdict::kInconclusive);  // was not trained
}

TEST(RegressionFigures, GiveNoVerdictUnderFiveSeedsNorWithoutRuns) {
  const MadeUpRuns few(grid(5), [](const json& settings) {
    return settings.at("seed") == 5 ? MadeUp{} : as_the_paper_says(settings);  // one of five fails
  });
  const MadeUpRuns none(grid(2), [](const json& /*settings*/) { return MadeUp{}; });
  for (const report::Claim& claim : none.section_of("B.bound9-trained").claims) {
    EXPECT_EQ(claim.verdict, report::Verdict::kInconclusive) << claim.id;
  }
  for (const char* id : kIds) {
    for (const report::Claim& claim : none.section_of(id).claims)
      EXPECT_EQ(claim.verdict, report::Verdict::kInconclusive) << claim.id;
    const report::Section section = few.section_of(id);
    EXPECT_NE(section.method.find("32 of 40 trainings are done"), std::string::npos) << section.method;
    for (const report::Claim& claim : section.claims) {
      // Softmax's runs of both batches together are eight.
      const bool of_batches = claim.id.starts_with("B.batch/") && claim.id != "B.batch/batch";
      if (!of_batches && claim.id != "B.mitigations/order") {
        EXPECT_EQ(claim.verdict, report::Verdict::kInconclusive) << claim.id;
      }
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
