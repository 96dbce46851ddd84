// The experiments of the polarisation paper that train no model: on measurements that are made up every claim holds,
// and each fails where it must.
#include "planted.h"
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

namespace polariscope::testing {
namespace {

namespace paper = experiments::polarisation;
using experiments::Margins;
using experiments::Preset;
using flow::Trajectory;
using Runs = std::vector<Trajectory>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Runs three_polarised() { return {polarised(0.99), polarised(0.98, 4, 2), polarised(0.97, 4, 0)}; }

// The winner of one seed takes too little.
void spread_out(Runs& runs) { runs.back() = polarised(0.4); }

// u draws another token than the winner, in one seed.
void draw_elsewhere(Runs& runs) { runs.front().u[3] = 9.0; }

TEST(FigureTwo, EachClaimCanFail) {
  expect_each_claim_can_fail<paper::fig2::Protocol, Runs>(
      paper::fig2::judge, {}, three_polarised(), {},
      {{"A.fig2/polarises", spread_out}, {"A.fig2/winner", draw_elsewhere}, {"A.fig2/rank", [](Runs& runs) {
                                                                               runs[1].effective_rank.back() = 2.0;
                                                                             }}});
}

TEST(FigureTen, EachClaimCanFail) {
  expect_each_claim_can_fail<paper::fig10::Protocol, Runs>(
      paper::fig10::judge, {}, three_polarised(), {},
      {{"A.fig10/polarises", spread_out},
       {"A.fig10/winner", draw_elsewhere},
       {"A.fig10/loss", [](Runs& runs) { runs[1].loss.back() = 1e-6; }},
       // Of a target with an entropy of its own the cross-entropy cannot fall below it: H(p*) is taken off.
       {"A.fig10/loss", [](Runs& runs) {
          runs[1].problem.target = {0.5, 0.5, 0.0, 0.0};
          runs[1].loss.back() = std::log(2.0) + 1e-5;
        }}});
}

// --- least squares at condition numbers -------------------------------------------------------------

const experiments::ConditionPlan kTwoConditions{.largest = 2, .descents = {.start = {.tokens = 4}, .seeds = 2}};

experiments::ConditionRuns conditions() {
  return {.seeds = 2, .trajectories = {polarised(0.3), polarised(0.3), polarised(0.9), polarised(0.9)}};
}

TEST(FigureThree, EachClaimCanFail) {
  expect_each_claim_can_fail<experiments::ConditionPlan, experiments::ConditionRuns>(
      paper::fig3::judge, kTwoConditions, conditions(), {},
      {{"A.fig3/together", [](auto& runs) { runs.trajectories[1] = polarised(0.6); }},
       {"A.fig3/apart", [](auto& runs) { runs.trajectories[2] = polarised(0.4); }}});
}

TEST(FigureTwelve, EachClaimCanFail) {
  expect_each_claim_can_fail<experiments::ConditionPlan, experiments::ConditionRuns>(
      paper::fig12::judge, kTwoConditions, conditions(), {},
      {{"A.fig12/entropy", [](auto& runs) { runs.trajectories[3] = polarised(0.3); }},
       {"A.fig12/loss", [](auto& runs) { runs.trajectories[0].loss.back() = 1e-2; }},
       // Three decades down, but not going on: the loss has not halved since half of the time.
       {"A.fig12/loss", [](auto& runs) { runs.trajectories[3].loss.back() = 0.6e-4; }}});
}

// --- figures 11 and 13 ------------------------------------------------------------------------------

TEST(FigureEleven, EachClaimCanFail) {
  using paper::fig11::Measured;
  const Measured good{.seeds = 2,
                      .trajectories = {polarised(0.99), polarised(0.99, 4, 2)},
                      .columns = {{{1.0, 9.0}, {1.0, 2.0}}, {{1.0, 9.0}, {1.0, 2.0}}}};
  expect_each_claim_can_fail<paper::fig11::Protocol, Measured>(
      paper::fig11::judge, {}, good, {},
      {{"A.fig11/polarises", [](Measured& runs) { spread_out(runs.trajectories); }},
       {"A.fig11/massive", [](Measured& runs) { runs.columns[1].others.back() = 3.0; }},
       {"A.fig11/winner", [](Measured& runs) { runs.trajectories[0].problem.beta[3] = 1.5; }}});
}

// Two seeds of each function.
paper::fig13::Measured normalisations() {
  paper::fig13::Measured runs{.seeds = 2, .logistic = {}, .square = {}, .flow = {}};
  const paper::fig13::Protocol protocol;
  for (const std::string_view name : protocol.functions) {
    const bool elementwise = name == "sigmoid" || name == "relu";
    runs.logistic[name] = Runs(2, polarised(elementwise ? 0.3 : 0.99));
    runs.square[name] = Runs(2, polarised(0.3));
  }
  for (const std::string_view name : protocol.smooth) runs.flow[name] = Runs(2, polarised(0.9999));
  for (Trajectory& run : runs.logistic["identity/sum"]) run.sigma.back() = -0.1;
  return runs;
}

TEST(FigureThirteen, EachClaimCanFail) {
  using paper::fig13::Measured;
  std::vector<Plant<Measured>> plants{
      {"A.fig13/sum", [](Measured& runs) { runs.logistic["identity/sum"][0].sigma.back() = 0.1; }},
      {"A.fig13/square", [](Measured& runs) { runs.square["abs/sum"][1] = polarised(0.6); }}};
  for (const char* name : {"softmax", "abs/sum", "square/sum", "relu/sum"}) {
    plants.push_back(
        {std::string("A.fig13/one-hot-") + name, [=](Measured& runs) { runs.logistic[name][1] = polarised(0.9); }});
  }
  for (const char* name : {"softmax", "square/sum", "relu/sum", "elu1/sum", "sigmoid/sum"}) {
    plants.push_back(
        {std::string("A.fig13/limit-") + name, [=](Measured& runs) { runs.flow[name][0] = polarised(0.99); }});
  }
  for (const char* name : {"sigmoid", "relu"}) {
    plants.push_back(
        {std::string("A.fig13/spread-") + name, [=](Measured& runs) { runs.logistic[name][0] = polarised(0.6); }});
  }
  Measured none = normalisations();
  none.seeds = 0;
  for (auto* of : {&none.logistic, &none.square, &none.flow}) {
    for (auto& [name, runs] : *of) runs.clear();
  }
  expect_each_claim_can_fail<paper::fig13::Protocol, Measured>(paper::fig13::judge, {}, normalisations(), none, plants);
}

// --- rows, the linear network, the map --------------------------------------------------------------

TEST(Rows, EachClaimCanFail) {
  using experiments::Agreement;
  using experiments::RowsRuns;
  experiments::RowsPlan plan;
  plan.scales = {0.01, 0.1, 1.0};
  plan.near = 2;
  const Agreement all{.t = {}, .fraction = {}, .agree = 8, .count = 8};
  const RowsRuns good{.descent = {all, all, all},
                      .flow = {all, all, all},
                      .splits = {{std::log(3.0), std::log(3.0) + 0.01}, {0.0, -0.01}},
                      .shown = {}};
  const RowsRuns none{.descent = {{}, {}, {}}, .flow = {{}, {}, {}}, .splits = {}, .shown = {}};
  expect_each_claim_can_fail<experiments::RowsPlan, RowsRuns>(
      paper::rows::judge, plan, good, none,
      {{"A.rows/near", [](RowsRuns& runs) { runs.flow[1].agree = 7; }},
       {"A.rows/every", [](RowsRuns& runs) { runs.descent[2].agree = 7; }},
       {"A.rows/forever", [](RowsRuns& runs) { runs.flow[2].agree = 7; }},
       {"A.rows/split", [](RowsRuns& runs) { runs.splits[1].gap = 0.05; }}});
}

TEST(Linear, EachClaimCanFail) {
  using paper::linear::Measured;
  const Measured good{.linear = {polarised(0.3), polarised(0.4)}, .softmax = {}};
  // A flow that the integrator gave up has no records, and says nothing.
  const Measured none{.linear = {Trajectory::starting(polarised(0.3).problem, {})}, .softmax = {}};
  expect_each_claim_can_fail<paper::linear::Protocol, Measured>(
      paper::linear::judge, {}, good, none,
      {{"A.linear/rank", [](Measured& runs) { runs.linear[1].singular_values[2 * 4 + 1] = 0.05; }},
       {"A.linear/spread", [](Measured& runs) { runs.linear[0] = polarised(0.6); }}});
}

TEST(Phase, EachClaimCanFail) {
  using experiments::MapCell;
  using experiments::StartMap;
  using flow::Loss;
  using paper::phase::Maps;
  // Scales of V₀ down, of a₀ across: the corners off the diagonal are where one is a hundred times the other.
  const auto map = [](double entropy) {
    return StartMap{
        .rows = {0.01, 1.0},
        .columns = {0.01, 1.0},
        .cells = {{MapCell{entropy, 0.5}, MapCell{entropy, 0.1}}, {MapCell{entropy, 0.95}, MapCell{entropy, 0.5}}}};
  };
  const StartMap conditions{.rows = {0.1}, .columns = {1.0, 2.0}, .cells = {{MapCell{0.8}, MapCell{0.7}}}};
  const Maps good{.panels = {{Loss::kLogistic, "softmax", map(0.1)},
                             {Loss::kSquare, "softmax", map(0.7)},
                             {Loss::kLogistic, "sigmoid", map(0.9)}},
                  .conditions = conditions};
  Maps none = good;
  for (auto& panel : none.panels) panel.map = {};
  none.conditions = {};
  expect_each_claim_can_fail<paper::phase::Protocol, Maps>(
      paper::phase::judge, {}, good, none,
      {{"A.phase/loss", [](Maps& maps) { maps.panels[1].map.cells[0][1].entropy = 0.1; }},
       {"A.phase/sigmoid", [](Maps& maps) { maps.panels[2].map.cells[1][1].entropy = 0.8; }},
       {"A.phase/winner-u", [](Maps& maps) { maps.panels[0].map.cells[1][0].u_wins = 0.9; }},
       {"A.phase/winner-a", [](Maps& maps) { maps.panels[0].map.cells[0][1].u_wins = 0.25; }},
       {"A.phase/condition", [](Maps& maps) { maps.conditions.cells[0][1].entropy = 0.8; }}});
}

// --- theorems and lemmas: margins of the checks -----------------------------------------------------

// A margin of each check on two trajectories; a violated one is planted as below zero, and as no number.
Margins kept(std::initializer_list<std::string_view> checks) {
  Margins margins(checks);
  for (const std::string_view check : checks) {
    margins.add(check, "descent", 0.5);
    margins.add(check, "flow", 0.0);
  }
  return margins;
}

template <class Measured>
std::vector<Plant<Measured>> violations(std::initializer_list<std::string_view> checks,
                                        std::vector<Plant<Measured>> others = {}) {
  for (const std::string_view check : checks) {
    for (const double margin : {-1e-12, kNaN}) {
      others.push_back({std::string(check), [=](Measured& m) { m.margins.add(check, "flow", margin); }});
    }
  }
  return others;
}

TEST(TheoremThreeTwo, EachClaimCanFail) {
  using paper::thm3_2::Measured;
  const auto checks = {std::string_view("A.thm3.2/order"), std::string_view("A.thm3.2/u-differences"),
                       std::string_view("A.thm3.2/a-differences"), std::string_view("A.thm3.2/winner-differences"),
                       std::string_view("A.thm3.2/lyapunov")};
  Measured good;
  good.margins = kept(checks);
  expect_each_claim_can_fail<paper::thm3_2::Protocol, Measured>(paper::thm3_2::judge, {}, good, {},
                                                                violations<Measured>(checks));
}

TEST(TheoremThreeThree, EachClaimCanFail) {
  using paper::thm3_3::Measured;
  const auto checks = {std::string_view("A.thm3.3/one-hot"), std::string_view("A.thm3.3/strength"),
                       std::string_view("A.thm3.3/loss")};
  Measured good;
  good.margins = kept(checks);
  expect_each_claim_can_fail<paper::thm3_3::Protocol, Measured>(paper::thm3_3::judge, {}, good, {},
                                                                violations<Measured>(checks));
}

TEST(LemmaBOne, EachClaimCanFail) {
  using paper::lem_b_1::Measured;
  const auto checks = {std::string_view("A.lemB.1/bounded"), std::string_view("A.lemB.1/rank-one"),
                       std::string_view("A.lemB.1/rate")};
  const auto protocol = paper::lem_b_1::protocol_of(Preset::kQuick);
  const int k = protocol.reduced.sizes[protocol.shown];
  // σ_i/σ_1 of every loser where max σ is so far from 1.
  const auto ratio = [=](double distance) { return distance / (1.0 - distance) / (k - 1); };
  Measured good;
  good.margins = kept(checks);
  good.constants = {0.95, 1.05};
  good.ratios.resize(protocol.reduced.sizes.size());
  std::vector<double>& flow = good.ratios[protocol.shown].emplace_back();
  for (const auto& [t, top] : protocol.milestones) {
    good.t.push_back(t);
    flow.push_back(ratio(1.1 * (1.0 - top)));
  }
  Measured none;
  none.t = good.t;
  none.ratios.resize(good.ratios.size());
  expect_each_claim_can_fail<paper::lem_b_1::Protocol, Measured>(
      paper::lem_b_1::judge, protocol, good, none,
      violations<Measured>(checks, {{"A.lemB.1/constant", [](Measured& m) { m.constants[0] = 0.89; }},
                                    {"A.lemB.1/constant", [](Measured& m) { m.constants[1] = 1.11; }},
                                    {"A.lemB.1/one-hot", [&](Measured& m) {
                                       m.ratios[protocol.shown][0][1] =
                                           ratio(1.3 * (1.0 - protocol.milestones[1].second));
                                     }}}));
}

TEST(LemmaThreeFive, EachClaimCanFail) {
  using paper::lem3_5::Measured;
  const auto checks = {std::string_view("A.lem3.5/along-beta")};
  Measured good;
  good.margins = kept(checks);
  good.growth = {-1e-3, 1e-9};
  good.by_descent = good.by_flow = {1e-12, 1e-9};
  std::vector<Plant<Measured>> plants{{"A.lem3.5/orthogonal-decays", [](Measured& m) { m.growth[0] = 1e-6; }}};
  for (const double difference : {1e-7, kInfinity, kNaN}) {
    plants.push_back({"A.lem3.5/reduced-descent", [=](Measured& m) { m.by_descent[1] = difference; }});
    plants.push_back({"A.lem3.5/reduced-flow", [=](Measured& m) { m.by_flow[1] = difference; }});
  }
  expect_each_claim_can_fail<paper::lem3_5::Protocol, Measured>(paper::lem3_5::judge,
                                                                paper::lem3_5::protocol_of(Preset::kQuick), good, {},
                                                                violations<Measured>(checks, std::move(plants)));
}

// A descent of two tokens whose loss falls as e^(−rate·t): 2/k = 1 is the slowest that the bound allows.
Trajectory decaying(double rate) {
  Trajectory t;
  t.problem.tokens = 2;
  for (double time = 0.0; time < 60.0; time += 0.5) {
    t.t.push_back(time);
    t.loss.push_back(std::exp(-rate * time));
    t.strength.push_back(1.0 - std::exp(-rate * time));
    t.sigma.insert(t.sigma.end(), {0.4, 0.6});
  }
  return t;
}

TEST(CorollaryCOne, EachClaimCanFail) {
  using paper::c1::Measured;
  const auto checks = {std::string_view("A.c1/strength"), std::string_view("A.c1/not-one-hot")};
  const paper::c1::Protocol protocol;
  Measured good;
  good.margins = kept(checks);
  good.add(protocol, decaying(1.2));
  good.add(protocol, decaying(2.0));
  EXPECT_NEAR(good.rate[0], 1.2, 1e-9);
  EXPECT_NEAR(good.straightness[1], 1.0, 1e-9);
  EXPECT_EQ(good.top[0], 0.6);
  const auto slow = [&](Measured& m) { m.add(protocol, decaying(0.9)); };
  // A plateau first, then as fast as any: the fit does not see it, the bound does.
  const auto late = [&](Measured& m) {
    Trajectory t = decaying(2.0);
    t.loss[1] = t.loss[2] = t.loss[3] = 1.0;
    m.add(protocol, t);
  };
  expect_each_claim_can_fail<paper::c1::Protocol, Measured>(
      paper::c1::judge, protocol, good, {},
      violations<Measured>(checks, {{"A.c1/exponential", slow}, {"A.c1/exponential", late}, {"A.c1/rate", slow}}));
}

TEST(LemmaDOne, EachClaimCanFail) {
  using paper::lem_d_1::Measured;
  const auto checks = {std::string_view("A.lemD.1/sum")};
  const paper::lem_d_1::Protocol protocol;
  Measured good, none;
  good.margins = kept(checks);
  for (const std::string_view row : protocol.rows) {
    const double effect = row == "softmax" ? 1e-13 : 0.5;
    const std::vector<std::vector<double>> same(protocol.shifts.size(), {effect, effect});
    good.effects[row] = {same, same};
    none.effects[row] = {};
  }
  std::vector<Plant<Measured>> plants;
  for (const double effect : {1e-8, kInfinity, kNaN}) {
    plants.push_back({"A.lemD.1/shift", [=](Measured& m) { m.effects["softmax"].up[0][1] = effect; }});
    plants.push_back({"A.lemD.1/shift", [=](Measured& m) { m.effects["softmax"].down[3][0] = effect; }});
  }
  expect_each_claim_can_fail<paper::lem_d_1::Protocol, Measured>(paper::lem_d_1::judge, protocol, good, none,
                                                                 violations<Measured>(checks, std::move(plants)));
}

TEST(LemmaDTwo, EachClaimCanFail) {
  using paper::lem_d_2::Measured;
  const auto checks = {std::string_view("A.lemD.2/rate")};
  Measured good;
  good.margins = kept(checks);
  expect_each_claim_can_fail<paper::lem_d_2::Protocol, Measured>(paper::lem_d_2::judge, {}, good, {},
                                                                 violations<Measured>(checks));
}

TEST(LemmaDFour, EachClaimCanFail) {
  using paper::lem_d_4::Measured;
  const auto checks = {std::string_view("A.lemD.4/order")};
  Measured good;
  good.margins = kept(checks);
  good.with_sign = 20;
  good.negative = 1;
  expect_each_claim_can_fail<paper::lem_d_4::Protocol, Measured>(
      paper::lem_d_4::judge, {}, good, {},
      violations<Measured>(checks, {{"A.lemD.4/positivity", [](Measured& m) { m.negative = 0; }}}));
}

}  // namespace
}  // namespace polariscope::testing
