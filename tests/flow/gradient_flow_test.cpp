#include "polariscope/flow/gradient_flow.h"

#include "polariscope/flow/checks.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/internal/cvode.h"
#include "polariscope/flow/internal/kernels.h"
#include "problems.h"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace polariscope::testing {
namespace {

flow::FlowOptions to(double until, std::vector<double> times = {}, double rtol = 1e-9,
                     flow::Solver solver = flow::Solver::kAuto) {
  return {.until = until, .times = std::move(times), .rtol = rtol, .solver = solver, .progress = {}};
}

// ------------------------------------------------------------------------------------ accuracy

TEST(GradientFlow, IsTheLimitOfGradientDescentToFirstOrder) {
  for (const flow::Loss loss :
       {flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares, flow::Loss::kKl}) {
    for (const std::string_view name : {"softmax", "sigmoid/sum", "square/sum"}) {
      const flow::Start start = flow::random_start(flow::Model::kValueSoftmax, loss, row(name), tame(5, 5, 1), 111);
      constexpr double kUntil = 2.0;
      const flow::State flow =
          flow::integrate(start.problem, start.state, to(kUntil, {0.0, kUntil}, 1e-12)).final_state;
      const auto error = [&](std::int64_t steps) {
        const flow::DescentOptions options{
            .step = kUntil / static_cast<double>(steps), .steps = steps, .samples = {steps}, .progress = {}};
        return relative_error(flow::descend(start.problem, start.state, options).final_state, flow);
      };
      // Error = c·step + O(step²): halving the step halves it, and more nearly so the smaller the step.
      const double coarse = error(4000);
      const double fine = error(8000);
      const double finest = error(16'000);
      EXPECT_LT(coarse, 1e-2) << flow::loss_name(loss) << " " << name;
      EXPECT_GT(finest, 1e-9) << "nothing left to measure";
      EXPECT_NEAR(coarse / fine, 2.0, 0.01) << flow::loss_name(loss) << " " << name;
      EXPECT_NEAR(fine / finest, 2.0, 0.005) << flow::loss_name(loss) << " " << name;
    }
  }
}

TEST(GradientFlow, ReducedAndFullAgreeForFlowAndDescent) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    for (const flow::Loss loss : {flow::Loss::kLogistic, flow::Loss::kSquare}) {
      for (const std::string_view name : {"softmax", "elu1/sum", "sigmoid"}) {
        const flow::Start full = loss == flow::Loss::kSquare ? along_beta(8, 8, seed, row(name)) : [&] {
          flow::StartOptions options;
          return flow::random_start(flow::Model::kValueSoftmax, loss, row(name), options, seed);
        }();
        flow::Problem problem = full.problem;
        problem.model = flow::Model::kReduced;
        const flow::State start = flow::reduced(full.problem, full.state);
        const auto compare = [&](const flow::Trajectory& small, const flow::Trajectory& large) {
          EXPECT_LE(relative_error(small.final_state.scores, large.final_state.scores), 1e-8)
              << name << " " << flow::loss_name(loss) << ", seed " << seed;
          EXPECT_LE(relative_error(small.final_state.projections, flow::projections(full.problem, large.final_state)),
                    1e-8);
          EXPECT_LE(relative_error(small.strength, large.strength), 1e-8);
          EXPECT_LE(relative_error(small.gradient_values, large.gradient_values), 1e-8);
        };
        const double until = loss == flow::Loss::kLogistic ? 1e6 : 10.0;
        const flow::FlowOptions flow = to(until, {0.0, 0.01, 1.0, until}, 1e-11);
        compare(flow::integrate(problem, start, flow), flow::integrate(full.problem, full.state, flow));
        const flow::DescentOptions descent{.step = 0.1, .steps = 20'000, .samples = {0, 10, 100}, .progress = {}};
        compare(flow::descend(problem, start, descent), flow::descend(full.problem, full.state, descent));
      }
    }
  }
}

// One row of `rows` is the value-softmax model, but V itself is moved: the other two go through u = Vᵀβ.
TEST(GradientFlow, OneRowAgreesWithTheModelsThatFollowU) {
  for (const std::string_view name : {"softmax", "softmax1", "sigmoid", "sigmoid/sum", "elu1/sum", "square/sum"}) {
    const flow::Start full =
        flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row(name), tame(6, 5, 1), 126);
    flow::Problem one_row = full.problem;
    one_row.model = flow::Model::kRows;
    flow::Problem through_u = full.problem;
    through_u.model = flow::Model::kReduced;
    const auto compare = [&](const flow::Trajectory& found, const flow::Trajectory& expected) {
      SCOPED_TRACE(fmt::format("{}, {}", name, flow::model_name(found.problem.model)));
      EXPECT_LE(relative_error(found.scores, expected.scores), 1e-8);
      EXPECT_LE(relative_error(found.u, expected.u), 1e-8);
      ASSERT_EQ(found.loss.size(), expected.loss.size());
      for (std::size_t n = 0; n < found.loss.size(); ++n) {
        EXPECT_NEAR(found.loss[n], expected.loss[n], 1e-8 * expected.loss[n]) << "t = " << expected.t[n];
      }
    };
    const flow::FlowOptions flow = to(1e5, {}, 1e-12);
    const flow::Trajectory moving_v = flow::integrate(one_row, full.state, flow);
    compare(flow::integrate(full.problem, full.state, flow), moving_v);
    compare(flow::integrate(through_u, flow::reduced(full.problem, full.state), flow), moving_v);

    const flow::DescentOptions descent{.step = 0.1, .steps = 100'000, .samples = {}, .progress = {}};
    const flow::Trajectory stepping_v = flow::descend(one_row, full.state, descent);
    compare(flow::descend(full.problem, full.state, descent), stepping_v);
    compare(flow::descend(through_u, flow::reduced(full.problem, full.state), descent), stepping_v);
  }
}

TEST(GradientFlow, AdamsAndBdfAgree) {
  for (const Combination& combination : combinations()) {
    // At a kink that draws the scores (|z|, relu) an integrator creeps; near 1/Σz neither keeps its tolerance.
    const std::string_view name = combination.reweighting->name;
    if (!combination.reweighting->positive || name.find("relu") == 0 || name.find("abs") == 0) continue;
    const flow::Start start = flow::random_start(combination.model, combination.loss, *combination.reweighting,
                                                 tame(4, 4, combination.model == flow::Model::kRows ? 2 : 1), 112);
    const auto end = [&](flow::Solver solver) {
      flow::FlowOptions options = to(1.0, {0.0, 1.0}, 1e-10, solver);
      options.events = false;
      return flow::integrate(start.problem, start.state, options).final_state;
    };
    // The tolerance is of one step; a few hundred steps add up.
    EXPECT_LE(relative_error(end(flow::Solver::kAdams), end(flow::Solver::kBdf)), 1e-7) << combination.name();
  }
}

TEST(GradientFlow, DoesNotDependOnWhatIsRecorded) {
  const flow::Start start = level_start(8, 8, 113);
  const flow::State few = flow::integrate(start.problem, start.state, to(1e6, {0.0, 0.01, 1e6})).final_state;
  const flow::State many = flow::integrate(start.problem, start.state, to(1e6)).final_state;
  EXPECT_LE(relative_error(few, many), 1e-7);  // 100 times the relative tolerance
}

TEST(GradientFlow, EvaluatesTheSameOnEveryInstructionSet) {
  const flow::Start start = level_start(8, 8, 114);
  const flow::State best = flow::integrate(start.problem, start.state, to(1e3)).final_state;
  EXPECT_FALSE(flow::simd_target().empty());
  const flow::State again = flow::integrate(start.problem, start.state, to(1e3)).final_state;
  EXPECT_EQ(best.values, again.values);
  EXPECT_EQ(best.scores, again.scores);
}

// ------------------------------------------------------------------------------------ horizon

TEST(GradientFlow, ReachesTheOneHotLimitAtTheLongestHorizon) {
  for (const flow::Model model : {flow::Model::kValueSoftmax, flow::Model::kReduced}) {
    const flow::Start start = level_start(8, 8, 115, model);
    const flow::Trajectory t = flow::integrate(start.problem, start.state, to(1e299));
    EXPECT_EQ(t.t.back(), 1e299);
    EXPECT_EQ(t.ending, flow::Ending::kHorizon);
    // 1 - max σ → 2(k - 1)/(k log² t): 3.7e-6 at 1e299, less corrections of order 1/log t.
    const double top = *std::max_element(t.sigma.end() - 8, t.sigma.end());
    EXPECT_NEAR(top, 0.999996, 1e-6);
    const flow::OneHotRate rate = flow::one_hot_rate(t, 1e150);
    EXPECT_NEAR(rate.constant, 1.0, 0.05);
    EXPECT_NEAR(rate.slope, -2.0, 0.02);
    EXPECT_LT(t.evaluations, 50'000);
    // The limit is approached: at 1e20 the constant is farther from 1.
    const flow::Trajectory earlier = flow::integrate(start.problem, start.state, to(1e20));
    EXPECT_GT(std::abs(flow::one_hot_rate(earlier, 1e10).constant - 1.0), std::abs(rate.constant - 1.0));
  }
}

TEST(GradientFlow, OfTheSquareLossEndsAsConverged) {
  for (const flow::Loss loss : {flow::Loss::kSquare, flow::Loss::kLeastSquares, flow::Loss::kKl}) {
    const flow::Start start = flow::random_start(flow::Model::kValueSoftmax, loss, row("softmax"), tame(5, 5, 1), 116);
    const flow::Trajectory t = flow::integrate(start.problem, start.state, to(1e12));
    EXPECT_EQ(t.ending, flow::Ending::kConverged) << flow::loss_name(loss);
    EXPECT_EQ(t.t.back(), 1e12);
    EXPECT_EQ(t.points(), 201U);
    EXPECT_LE(t.gradient_output.back(), 1e-11 * t.gradient_output.front());
  }
}

TEST(GradientFlow, AStartAtTheMinimumStaysThere) {
  flow::Start start = level_start(3, 4, 117, flow::Model::kValueSoftmax, flow::Loss::kSquare);
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 4; ++j) start.state.values[i * 4 + j] = start.problem.beta[i];
  }
  const flow::Trajectory t = flow::integrate(start.problem, start.state, to(10.0));
  EXPECT_EQ(t.ending, flow::Ending::kConverged);
  EXPECT_LE(relative_error(t.final_state, start.state), 1e-14);
}

// ------------------------------------------------------------------------------------ events

// The first dense sample at which the sign of a_i - a_j differs from that at the start.
double first_change(const flow::Trajectory& dense, int k, int i, int j) {
  for (std::size_t n = 1; n < dense.points(); ++n) {
    const auto lead = [&](std::size_t at) { return dense.scores[at * k + i] - dense.scores[at * k + j]; };
    if (lead(n) * lead(0) < 0.0) return dense.t[n];
  }
  return NAN;
}

TEST(Events, AreFoundWhereDenseSamplesChangeTheirOrder) {
  for (const std::string_view name : {"softmax", "sigmoid/sum"}) {
    // a₀ stands against u₀: tokens that lead at first must be passed.
    flow::StartOptions options;
    options.value_scale = 0.5;
    flow::Start start = flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row(name), options, 118);
    const Vector u = flow::projections(start.problem, start.state);
    for (int j = 0; j < 8; ++j) start.state.scores[j] = -0.3 * u[j];
    const double until = 200.0;
    const flow::Trajectory found = flow::integrate(start.problem, start.state, to(until));
    ASSERT_FALSE(found.events.empty());

    Vector times;
    for (int n = 0; n <= 20'000; ++n) times.push_back(until * n / 20'000.0);
    flow::FlowOptions dense_options = to(until, times);
    dense_options.events = false;
    const flow::Trajectory dense = flow::integrate(start.problem, start.state, dense_options);
    EXPECT_TRUE(dense.events.empty());
    int changes = 0;
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < i; ++j) {
        const double when = first_change(dense, 8, i, j);
        const auto event = std::find_if(found.events.begin(), found.events.end(), [&](const flow::Event& e) {
          return (e.risen == i && e.fallen == j) || (e.risen == j && e.fallen == i);
        });
        ASSERT_EQ(event == found.events.end(), std::isnan(when)) << i << ", " << j;
        if (std::isnan(when)) continue;
        ++changes;
        // Dense samples are 0.01 apart and see the change at the end of its interval.
        EXPECT_LE(event->t, when + 1e-6);
        EXPECT_GE(event->t, when - 0.0101);
        // Who rose is behind at the start.
        EXPECT_LT(start.state.scores[event->risen], start.state.scores[event->fallen]);
        EXPECT_EQ(event->row, 0);
      }
    }
    EXPECT_EQ(static_cast<int>(found.events.size()), changes);
    // The winner changes: at least one event is a change of it, and it is the last winner's rise.
    const auto last_winner =
        std::find_if(found.events.rbegin(), found.events.rend(), [](const flow::Event& e) { return e.winner; });
    ASSERT_NE(last_winner, found.events.rend());
    EXPECT_EQ(last_winner->risen, static_cast<int>(found.winner.back()));
    EXPECT_NE(found.winner.front(), found.winner.back());
  }
}

// Whether an event is one of the winner is judged by σ(Ua), not by σ(a).
TEST(Events, OfTheTiedModelSpeakOfItsWeights) {
  int events = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    flow::StartOptions options = tame(4, 4, 1);
    options.value_scale = 0.8;
    const flow::Start start =
        flow::random_start(flow::Model::kTied, flow::Loss::kLogistic, row("softmax"), options, 119, seed);
    const flow::Trajectory t = flow::integrate(start.problem, start.state, to(50.0));
    for (const flow::Event& event : t.events) {
      ++events;
      flow::FlowOptions there = to(event.t, {0.0, event.t});
      there.events = false;
      const flow::Trajectory until = flow::integrate(start.problem, start.state, there);
      const Vector p(until.sigma.end() - 4, until.sigma.end());
      EXPECT_NEAR(p[event.risen], p[event.fallen], 1e-6) << "seed " << seed << ", t = " << event.t;
      bool leads = true;
      for (int j = 0; j < 4; ++j) leads = leads && (j == event.risen || j == event.fallen || p[j] < p[event.risen]);
      EXPECT_EQ(event.winner, leads) << "seed " << seed << ", t = " << event.t;
    }
  }
  EXPECT_GT(events, 10);
}

TEST(Events, OfARowNameThatRow) {
  flow::StartOptions options;
  options.rows = 3;
  options.value_scale = 0.5;
  flow::Start start = flow::random_start(flow::Model::kRows, flow::Loss::kLogistic, row("softmax"), options, 120);
  const Vector u = flow::projections(start.problem, start.state);
  // Only row 1 starts against the order of u.
  for (int t = 0; t < 3; ++t) {
    for (int j = 0; j < 8; ++j) start.state.scores[t * 8 + j] = (t == 1 ? -0.3 : 0.3) * u[j];
  }
  const flow::Trajectory t = flow::integrate(start.problem, start.state, to(200.0));
  ASSERT_FALSE(t.events.empty());
  for (const flow::Event& event : t.events) EXPECT_EQ(event.row, 1);
}

TEST(Events, TiesAtTheStartAreNoEvents) {
  // a = 0: every pair starts level and parts at once. Two equal columns of V never part.
  flow::Start start = level_start(8, 8, 121);
  for (int i = 0; i < 8; ++i) start.state.values[i * 8 + 5] = start.state.values[i * 8 + 2];
  const flow::Trajectory t = flow::integrate(start.problem, start.state, to(1e6));
  EXPECT_TRUE(t.events.empty());
  for (std::size_t n = 0; n < t.points(); ++n) EXPECT_NEAR(t.sigma[n * 8 + 5], t.sigma[n * 8 + 2], 1e-12);
}

// ------------------------------------------------------------------------------------ options

TEST(LogTimes, RiseFromZeroToTheEndEvenlyInLogarithm) {
  for (const double until : {1e-6, 1.0, 100.0, 1e6, 1e299}) {
    for (const int count : {2, 50, 200}) {
      const auto times = flow::log_times(until, count);
      ASSERT_EQ(static_cast<int>(times.size()), count + 1);
      EXPECT_EQ(times.front(), 0.0);
      EXPECT_EQ(times.back(), until);
      EXPECT_NEAR(times[1], std::min(0.01, until / 1000.0), 1e-12 * times[1]);
      for (std::size_t i = 1; i < times.size(); ++i) EXPECT_LT(times[i - 1], times[i]);
      for (std::size_t i = 3; i < times.size(); ++i) {
        EXPECT_NEAR(std::log(times[i] / times[i - 1]), std::log(times[2] / times[1]), 1e-10);
      }
    }
  }
}

TEST(GradientFlow, RefusesHorizonsAndTolerancesThatCannotBe) {
  const flow::Start start = level_start(3, 3, 122);
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto complaint = [&](flow::FlowOptions options) {
    return complaint_of([&] { flow::integrate(start.problem, start.state, options); });
  };
  EXPECT_EQ(complaint(to(0.0)), "the flow's final time is 0: it must lie between 1e-100 and 1e+299");
  EXPECT_EQ(complaint(to(1e-100)), "");
  EXPECT_NE(complaint(to(1e-101)), "");
  EXPECT_EQ(complaint(to(-1.0)), "the flow's final time is -1: it must lie between 1e-100 and 1e+299");
  EXPECT_EQ(complaint(to(1e300)), "the flow's final time is 1e+300: it must lie between 1e-100 and 1e+299");
  EXPECT_NE(complaint(to(kNan)), "");
  EXPECT_EQ(complaint(to(1.0, {}, 0.0)), "the relative tolerance is 0: it must lie between 1e-13 and 1e-2");
  EXPECT_EQ(complaint(to(1.0, {}, 0.5)), "the relative tolerance is 0.5: it must lie between 1e-13 and 1e-2");
  EXPECT_NE(complaint(to(1.0, {}, kNan)), "");
  flow::FlowOptions options = to(1.0);
  options.atol = -1e-9;
  EXPECT_EQ(complaint(options), "the absolute tolerance is -1e-09: it must be positive (0 takes rtol / 1000)");
  options.atol = kNan;
  EXPECT_NE(complaint(options), "");
  EXPECT_EQ(complaint(to(1.0)), "");
}

TEST(Cvode, SaysWhyItCannotBeSetUp) {
  const auto still = [](double, std::span<const double>, std::span<double> dy) {
    std::fill(dy.begin(), dy.end(), 0.0);
  };
  const std::vector<double> y(3, 1.0);
  for (const bool stiff : {false, true}) {
    const auto complaint = complaint_of([&] {
      flow::Cvode({.size = 3, .derivative = still, .root_functions = {}}, stiff, {-1e-9, 1e-9}, 0.0, y);
    });
    EXPECT_NE(complaint.find("could not be set up: reltol < 0"), std::string::npos) << complaint;
  }
}

TEST(GradientFlow, RefusesTimesThatDoNotRise) {
  const flow::Start start = level_start(3, 3, 122);
  const auto complaint = [&](std::vector<double> times) {
    return complaint_of([&] { flow::integrate(start.problem, start.state, to(1.0, std::move(times))); });
  };
  EXPECT_EQ(complaint({0.0, 0.5, 0.25}), "the times to record hold 0.25 after 0.5: they must rise");
  EXPECT_EQ(complaint({0.0, 0.5, 0.5}), "the times to record hold 0.5 after 0.5: they must rise");
  EXPECT_EQ(complaint({-1.0, 0.5}), "the times to record hold -1: each must lie between 0 and 1e+299");
  EXPECT_EQ(complaint({0.0, 1e300}), "the times to record hold 1e+300: each must lie between 0 and 1e+299");
  EXPECT_NE(complaint({0.0, std::numeric_limits<double>::quiet_NaN()}), "");
  EXPECT_EQ(complaint({0.5, 1.0}), "");
}

TEST(GradientFlow, ATighterToleranceIsNearerToTheTruth) {
  const flow::Start start = level_start(8, 8, 123);
  const flow::State truth = flow::integrate(start.problem, start.state, to(1e4, {}, 1e-13)).final_state;
  double previous = 1.0;
  for (const double rtol : {1e-4, 1e-7, 1e-10}) {
    const double error =
        relative_error(flow::integrate(start.problem, start.state, to(1e4, {}, rtol)).final_state, truth);
    EXPECT_LT(error, 100.0 * rtol);  // the factor that the checks allow the flow
    EXPECT_LT(error, previous);
    previous = error;
  }
}

TEST(Solver, IsFoundByName) {
  EXPECT_EQ(flow::find_solver("auto"), flow::Solver::kAuto);
  EXPECT_EQ(flow::find_solver("adams"), flow::Solver::kAdams);
  EXPECT_EQ(flow::find_solver("bdf"), flow::Solver::kBdf);
  EXPECT_NE(complaint_of([] { flow::find_solver("adam"); }).find("did you mean \"adams\"?"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
