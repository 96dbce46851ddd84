// The experiments of the polarisation paper that train no model, run for real at sizes of a second: what they measure
// can be judged and told, and every claim has its figure.
#include "polariscope/base/progress.h"
#include "polariscope/experiments/polarisation/c1.h"
#include "polariscope/experiments/polarisation/fig10.h"
#include "polariscope/experiments/polarisation/fig11.h"
#include "polariscope/experiments/polarisation/fig12.h"
#include "polariscope/experiments/polarisation/fig13.h"
#include "polariscope/experiments/polarisation/fig2.h"
#include "polariscope/experiments/polarisation/fig3.h"
#include "polariscope/experiments/polarisation/lem3_5.h"
#include "polariscope/experiments/polarisation/lem_b_1.h"
#include "polariscope/experiments/polarisation/lem_d_1.h"
#include "polariscope/experiments/polarisation/lem_d_2.h"
#include "polariscope/experiments/polarisation/lem_d_4.h"
#include "polariscope/experiments/polarisation/linear.h"
#include "polariscope/experiments/polarisation/phase.h"
#include "polariscope/experiments/polarisation/rows.h"
#include "polariscope/experiments/polarisation/thm3_2.h"
#include "polariscope/experiments/polarisation/thm3_3.h"

#include <gtest/gtest.h>

#include <set>

namespace polariscope::testing {
namespace {

namespace paper = experiments::polarisation;
using experiments::Preset;

experiments::Context context() {
  experiments::Context context{.preset = Preset::kQuick, .seed = 3, .threads = 2, .progress = {}};
  context.progress = [](std::uint64_t, const std::string&) { return Progress(); };
  return context;
}

void expect_complete(const report::Section& section) {
  EXPECT_FALSE(section.method.empty());
  EXPECT_FALSE(section.findings.empty());
  EXPECT_FALSE(section.claims.empty());
  std::set<std::string> figures;
  for (const report::Figure& figure : section.figures) {
    EXPECT_TRUE(figures.insert(figure.id).second) << figure.id << " is there twice";
    EXPECT_FALSE(figure.caption.empty()) << figure.id;
    EXPECT_FALSE(figure.alternative.empty()) << figure.id;
    EXPECT_GT(figure.table.rows(), 0U) << figure.id;
  }
  for (const report::Claim& claim : section.claims) {
    EXPECT_TRUE(figures.contains(claim.evidence)) << claim.id << " has no figure " << claim.evidence;
    EXPECT_FALSE(claim.criterion.empty()) << claim.id;
    EXPECT_FALSE(claim.measured.empty()) << claim.id;
  }
}

// The quick protocol of an experiment, made smaller by `cut`.
template <class Protocol, class Measured>
void expect_complete(Protocol (*protocol_of)(Preset), Measured (*measure)(const experiments::Context&, const Protocol&),
                     report::Section (*describe)(const Protocol&, const Measured&), void (*cut)(Protocol&)) {
  Protocol protocol = protocol_of(Preset::kQuick);
  cut(protocol);
  expect_complete(describe(protocol, measure(context(), protocol)));
}

void few_steps(experiments::DescentPlan& plan) {
  plan.steps = 400;
  plan.seeds = 2;
}

void few_trajectories(experiments::EnsemblePlan& plan) {
  plan.steps = std::min<std::int64_t>(plan.steps, 400);
  plan.descents = std::min<std::int64_t>(plan.descents, 2);
  plan.flows = std::min<std::int64_t>(plan.flows, 1);
}

TEST(PolarisationSections, OfDescentsAreComplete) {
  expect_complete(paper::fig2::protocol_of, paper::fig2::measure, paper::fig2::describe, few_steps);
  expect_complete(paper::fig10::protocol_of, paper::fig10::measure, paper::fig10::describe, few_steps);
  expect_complete<paper::fig11::Protocol, paper::fig11::Measured>(paper::fig11::protocol_of, paper::fig11::measure,
                                                                  paper::fig11::describe, [](auto& p) {
                                                                    p.dims = {3, 5};
                                                                    few_steps(p.descents);
                                                                  });
  for (const auto describe : {paper::fig3::describe, paper::fig12::describe}) {
    expect_complete<experiments::ConditionPlan, experiments::ConditionRuns>(
        experiments::condition_plan, experiments::run_conditions, describe, [](auto& p) { few_steps(p.descents); });
  }
}

TEST(PolarisationSections, OfDescentsAndFlowsAreComplete) {
  expect_complete<paper::fig13::Protocol, paper::fig13::Measured>(paper::fig13::protocol_of, paper::fig13::measure,
                                                                  paper::fig13::describe, [](auto& p) {
                                                                    few_steps(p.logistic);
                                                                    few_steps(p.square);
                                                                  });
  expect_complete<paper::linear::Protocol, paper::linear::Measured>(
      paper::linear::protocol_of, paper::linear::measure, paper::linear::describe, [](auto& p) { p.seeds = 2; });
  expect_complete<experiments::RowsPlan, experiments::RowsRuns>(paper::rows::protocol_of, experiments::rows_runs,
                                                                paper::rows::describe, [](auto& p) {
                                                                  p.steps = 400;
                                                                  p.trajectories = 3;
                                                                  p.flows = 2;
                                                                });
  expect_complete<paper::phase::Protocol, paper::phase::Maps>(paper::phase::protocol_of, paper::phase::measure,
                                                              paper::phase::describe, [](auto& p) {
                                                                p.steps = p.condition_steps = 100;
                                                                p.per_cell = 2;
                                                              });
}

TEST(PolarisationSections, OfTheoremsAndLemmasAreComplete) {
  expect_complete<paper::thm3_2::Protocol, paper::thm3_2::Measured>(paper::thm3_2::protocol_of, paper::thm3_2::measure,
                                                                    paper::thm3_2::describe,
                                                                    [](auto& p) { few_trajectories(p.ensemble); });
  expect_complete<paper::thm3_3::Protocol, paper::thm3_3::Measured>(paper::thm3_3::protocol_of, paper::thm3_3::measure,
                                                                    paper::thm3_3::describe,
                                                                    [](auto& p) { few_trajectories(p.ensemble); });
  expect_complete<paper::lem_b_1::Protocol, paper::lem_b_1::Measured>(
      paper::lem_b_1::protocol_of, paper::lem_b_1::measure, paper::lem_b_1::describe, [](auto& p) {
        few_trajectories(p.reduced);
        few_trajectories(p.full);
      });
  expect_complete<paper::lem3_5::Protocol, paper::lem3_5::Measured>(paper::lem3_5::protocol_of, paper::lem3_5::measure,
                                                                    paper::lem3_5::describe, [](auto& p) {
                                                                      few_trajectories(p.zero);
                                                                      few_trajectories(p.noise);
                                                                      p.compared = 1;
                                                                    });
  expect_complete<paper::c1::Protocol, paper::c1::Measured>(paper::c1::protocol_of, paper::c1::measure,
                                                            paper::c1::describe, [](auto& p) {
                                                              few_trajectories(p.ensemble);
                                                              p.ensemble.steps = 2'000;  // far enough to fit a decay
                                                            });
  expect_complete<paper::lem_d_1::Protocol, paper::lem_d_1::Measured>(
      paper::lem_d_1::protocol_of, paper::lem_d_1::measure, paper::lem_d_1::describe, [](auto& p) {
        few_trajectories(p.ensemble);
        p.starts = 4;
      });
  expect_complete<paper::lem_d_2::Protocol, paper::lem_d_2::Measured>(paper::lem_d_2::protocol_of,
                                                                      paper::lem_d_2::measure, paper::lem_d_2::describe,
                                                                      [](auto& p) { few_trajectories(p.ensemble); });
  expect_complete<paper::lem_d_4::Protocol, paper::lem_d_4::Measured>(
      paper::lem_d_4::protocol_of, paper::lem_d_4::measure, paper::lem_d_4::describe, [](auto& p) {
        few_trajectories(p.ensemble);
        p.shown_steps = 400;
      });
}

}  // namespace
}  // namespace polariscope::testing
