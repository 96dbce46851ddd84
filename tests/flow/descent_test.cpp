#include "polariscope/flow/descent.h"

#include "polariscope/flow/internal/finite.h"
#include "polariscope/flow/internal/point.h"
#include "problems.h"

#include <limits>

namespace polariscope::testing {
namespace {

TEST(Descent, IsTheRecursionOfItsDefinition) {
  for (const std::string_view name : {"softmax", "identity/sum", "sigmoid", "square/sum"}) {
    for (const flow::Loss loss : {flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kKl}) {
      const flow::Start start = flow::random_start(flow::Model::kValueSoftmax, loss, row(name), tame(6, 5, 1), 91);
      flow::State expected = start.state;
      double strength = 0.0;
      for (int n = 0; n < 1000; ++n) {
        const flow::Point point = flow::evaluate(start.problem, expected);
        expected = flow::moved(expected, -0.05, point.slope);
        strength += 0.05 * point.gradient_norm;
      }
      const flow::Trajectory found =
          flow::descend(start.problem, start.state, {.step = 0.05, .steps = 1000, .samples = {}, .progress = {}});
      // A thousand steps, each of relative error 1e-15.
      EXPECT_LE(relative_error(found.final_state, expected), 1e-11) << name << " " << flow::loss_name(loss);
      EXPECT_NEAR(found.strength.back(), strength, 1e-11 * strength);
      EXPECT_EQ(found.evaluations, 1000);
      EXPECT_EQ(found.ending, flow::Ending::kHorizon);
    }
  }
}

TEST(Descent, RecordsAtTheStepsAskedFor) {
  const flow::Start start = level_start(8, 8, 92);
  std::vector<std::int64_t> told;
  const flow::Trajectory t = flow::descend(start.problem, start.state,
                                           {.step = 0.1,
                                            .steps = 10,
                                            .samples = {0, 3, 10},
                                            .progress = [&](std::int64_t done, const flow::Trajectory& so_far) {
                                              told.push_back(done);
                                              EXPECT_EQ(so_far.points(), told.size());
                                            }});
  EXPECT_EQ(told, (std::vector<std::int64_t>{0, 3, 10}));
  ASSERT_EQ(t.points(), 3U);
  EXPECT_EQ(t.t[0], 0.0);
  EXPECT_DOUBLE_EQ(t.t[1], 0.3);
  EXPECT_DOUBLE_EQ(t.t[2], 1.0);
  EXPECT_EQ(flow::Trajectory::column(t.scores, 8, 2)[2], t.final_state.scores[2]);
}

TEST(Descent, WithoutStepsRecordsTheStart) {
  const flow::Start start = level_start(8, 8, 93);
  const flow::Trajectory t =
      flow::descend(start.problem, start.state, {.step = 0.1, .steps = 0, .samples = {}, .progress = {}});
  ASSERT_EQ(t.points(), 1U);
  EXPECT_EQ(t.scores, start.state.scores);
  EXPECT_EQ(t.final_state.values, start.state.values);
}

// Where a record is taken, the kernel's registers are written out and read again: rounding may differ.
TEST(Descent, DoesNotDependOnWhatIsRecorded) {
  const flow::Start start = level_start(8, 8, 94);
  const auto run = [&](std::vector<std::int64_t> samples) {
    return flow::descend(start.problem, start.state,
                         {.step = 0.1, .steps = 5000, .samples = std::move(samples), .progress = {}})
        .final_state;
  };
  EXPECT_LE(relative_error(run({5000}), run({0, 1, 2, 17, 400, 4999, 5000})), 1e-13);
}

TEST(Descent, EndsAsDivergedBeforeTheFirstRecordThatIsNotFinite) {
  const flow::Start start =
      flow::random_start(flow::Model::kLinear, flow::Loss::kSquare, row("identity"), tame(4, 4, 1), 95);
  const flow::Trajectory t =
      flow::descend(start.problem, start.state, {.step = 50.0, .steps = 1000, .samples = {}, .progress = {}});
  EXPECT_EQ(t.ending, flow::Ending::kDiverged);
  EXPECT_GE(t.points(), 1U);
  EXPECT_LT(t.t.back(), 50.0 * 1000);
  EXPECT_TRUE(flow::all_finite(t.final_state));
  for (double a : t.scores) EXPECT_TRUE(std::isfinite(a));
}

TEST(Descent, RefusesStepsThatCannotBe) {
  const flow::Start start = level_start(3, 3, 96);
  const auto complaint = [&](double step, std::int64_t steps) {
    return complaint_of([&] {
      flow::descend(start.problem, start.state, {.step = step, .steps = steps, .samples = {}, .progress = {}});
    });
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(complaint(0.0, 10), "the step is 0: gradient descent needs a positive, finite step");
  EXPECT_EQ(complaint(-0.1, 10), "the step is -0.1: gradient descent needs a positive, finite step");
  EXPECT_EQ(complaint(kInfinity, 10), "the step is inf: gradient descent needs a positive, finite step");
  EXPECT_NE(complaint(std::numeric_limits<double>::quiet_NaN(), 10), "");
  EXPECT_EQ(complaint(0.1, -1), "the number of steps is -1: it cannot be negative");
  EXPECT_EQ(complaint(0.1, 1), "");
}

TEST(Descent, RefusesSamplesThatDoNotRise) {
  const flow::Start start = level_start(3, 3, 96);
  const auto complaint = [&](std::vector<std::int64_t> samples) {
    const flow::DescentOptions options{.step = 0.1, .steps = 10, .samples = std::move(samples), .progress = {}};
    return complaint_of([&] { flow::descend(start.problem, start.state, options); });
  };
  EXPECT_EQ(complaint({0, 7, 3}), "the steps to record hold 3 after 7: they must rise");
  EXPECT_EQ(complaint({0, 7, 7}), "the steps to record hold 7 after 7: they must rise");
  EXPECT_EQ(complaint({-1, 7}), "the first step to record is -1: it cannot be negative");
  EXPECT_EQ(complaint({3, 7}), "");
}

TEST(LogSamples, RiseFromZeroToTheEndEvenlyInLogarithm) {
  for (const std::int64_t steps : {0L, 1L, 2L, 10L, 999L, 1'000'000L, 10'000'000'000L}) {
    for (const int count : {1, 2, 3, 60, 200}) {
      const auto samples = flow::log_samples(steps, count);
      EXPECT_EQ(samples.front(), 0);
      EXPECT_EQ(samples.back(), steps);
      EXPECT_LE(static_cast<int>(samples.size()), count + 1);
      for (std::size_t i = 1; i < samples.size(); ++i) EXPECT_LT(samples[i - 1], samples[i]);
      // Past the steps that rounding merged, neighbours differ by one factor.
      const double factor = count > 1 ? std::pow(static_cast<double>(steps), 1.0 / (count - 1)) : 1.0;
      for (std::size_t i = 2; i < samples.size(); ++i) {
        if (samples[i - 1] < 1000) continue;
        EXPECT_NEAR(static_cast<double>(samples[i]) / samples[i - 1], factor, 2e-3 * factor);
      }
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
