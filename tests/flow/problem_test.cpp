#include "polariscope/flow/problem.h"

#include "problems.h"

#include <limits>

namespace polariscope::testing {
namespace {

flow::Start good(flow::Model model = flow::Model::kValueSoftmax, flow::Loss loss = flow::Loss::kLogistic,
                 std::string_view name = "softmax") {
  return flow::random_start(model, loss, row(name), tame(3, 3, model == flow::Model::kRows ? 2 : 1), 131);
}

std::string complaint(const flow::Start& start) {
  return complaint_of([&] { flow::validate(start.problem, start.state); });
}

// Spoils a good start and gives validate's sentence.
std::string after(flow::Start start, const std::function<void(flow::Start&)>& spoil) {
  EXPECT_EQ(complaint(start), "");
  spoil(start);
  return complaint(start);
}

TEST(Problem, RefusesCombinationsWithTheirReason) {
  for (const flow::Loss loss : {flow::Loss::kLeastSquares, flow::Loss::kKl}) {
    EXPECT_EQ(
        after(good(flow::Model::kValueSoftmax, loss), [](flow::Start& s) { s.problem.model = flow::Model::kReduced; }),
        fmt::format("model reduced with loss {}: its gradient leaves the line along β, so V cannot be replaced by "
                    "u = Vᵀβ; use value-softmax, or loss logistic or square",
                    flow::loss_name(loss)));
  }
  for (const reweighting::Reweighting& one : reweighting::reweightings()) {
    if (one.name == "identity") continue;
    EXPECT_EQ(
        after(good(flow::Model::kLinear, flow::Loss::kSquare, "identity"),
              [&](flow::Start& s) { s.problem.reweighting = &one; }),
        fmt::format("model linear with re-weighting {}: the linear network is σ = identity; use value-softmax for "
                    "others",
                    one.name));
  }
  EXPECT_EQ(after(good(flow::Model::kTied), [](flow::Start& s) { s.problem.outputs = 4; }),
            "model tied has d = 4 and k = 3: U is square, so they must be equal");
  EXPECT_EQ(after(good(flow::Model::kRows), [](flow::Start& s) { s.problem.model = flow::Model::kValueSoftmax; }),
            "model value-softmax has 2 rows of scores: only the model rows has more than one");
}

TEST(Problem, RefusesSizesBelowOne) {
  for (const auto size : {&flow::Problem::outputs, &flow::Problem::tokens, &flow::Problem::rows}) {
    for (const int value : {0, -1}) {
      const std::string sentence = after(good(), [&](flow::Start& s) { s.problem.*size = value; });
      EXPECT_NE(sentence.find("each must be at least 1"), std::string::npos) << sentence;
    }
  }
}

TEST(Problem, RefusesShapesThatDoNotFit) {
  EXPECT_EQ(after(good(), [](flow::Start& s) { s.state.scores.push_back(0.0); }),
            "a has 4 numbers, expected 3: one score a token (a column of V)");
  EXPECT_EQ(after(good(flow::Model::kRows), [](flow::Start& s) { s.state.scores.pop_back(); }),
            "a has 5 numbers, expected 6: one score a token (a column of V)");
  EXPECT_EQ(after(good(), [](flow::Start& s) { s.state.values.pop_back(); }),
            "V has 8 numbers, expected 9: d rows of k numbers");
  EXPECT_EQ(after(good(flow::Model::kTied), [](flow::Start& s) { s.state.values.clear(); }),
            "U has 0 numbers, expected 9: d rows of k numbers");
  EXPECT_EQ(after(good(flow::Model::kReduced), [](flow::Start& s) { s.state.projections.clear(); }),
            "u has 0 numbers, expected 3: one number a token");
  EXPECT_EQ(after(good(), [](flow::Start& s) { s.problem.beta.pop_back(); }),
            "beta has 2 numbers, expected 3: one number a row of V");
  EXPECT_EQ(
      after(good(flow::Model::kValueSoftmax, flow::Loss::kKl), [](flow::Start& s) { s.problem.target.push_back(0.0); }),
      "p_star has 4 numbers, expected 3: one probability an output");
  EXPECT_EQ(after(good(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares),
                  [](flow::Start& s) { s.problem.beta.pop_back(); }),
            "X has 9 numbers, expected 6: one row a number of beta, one column a row of V");
  EXPECT_EQ(after(good(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares),
                  [](flow::Start& s) { s.problem.beta.clear(); }),
            "beta is empty: least squares needs one number a sample");
}

TEST(Problem, RefusesNumbersThatAreNotFinite) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const auto sentence = [&](std::string_view name) {
      return fmt::format("{} holds {} at position 1: every number must be finite", name, bad);
    };
    EXPECT_EQ(after(good(), [&](flow::Start& s) { s.state.scores[1] = bad; }), sentence("a"));
    EXPECT_EQ(after(good(), [&](flow::Start& s) { s.state.values[1] = bad; }), sentence("V"));
    EXPECT_EQ(after(good(flow::Model::kTied), [&](flow::Start& s) { s.state.values[1] = bad; }), sentence("U"));
    EXPECT_EQ(after(good(flow::Model::kReduced), [&](flow::Start& s) { s.state.projections[1] = bad; }), sentence("u"));
    EXPECT_EQ(after(good(), [&](flow::Start& s) { s.problem.beta[1] = bad; }), sentence("beta"));
    EXPECT_EQ(after(good(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares),
                    [&](flow::Start& s) { s.problem.design[1] = bad; }),
              sentence("X"));
    EXPECT_EQ(
        after(good(flow::Model::kValueSoftmax, flow::Loss::kKl), [&](flow::Start& s) { s.problem.target[1] = bad; }),
        sentence("p_star"));
  }
}

TEST(Problem, RefusesATargetThatIsNoDistributionAndABetaOfZeros) {
  const flow::Start kl = good(flow::Model::kValueSoftmax, flow::Loss::kKl);
  EXPECT_EQ(after(kl,
                  [](flow::Start& s) {
                    s.problem.target = {0.5, 0.5, 0.5};
                  }),
            "p_star sums to 1.5 with smallest entry 0.5: it must be a distribution");
  EXPECT_EQ(after(kl,
                  [](flow::Start& s) {
                    s.problem.target = {1.5, -0.5, 0.0};
                  }),
            "p_star sums to 1 with smallest entry -0.5: it must be a distribution");
  EXPECT_EQ(after(kl, [](flow::Start& s) { s.problem.target = {0.0, 1.0, 0.0}; }), "");
  EXPECT_EQ(after(good(),
                  [](flow::Start& s) {
                    s.problem.beta = {0.0, -0.0, 0.0};
                  }),
            "beta is all zeros: there is no direction to learn");
}

TEST(Projections, AreTheDirectionThatDrawsTheScores) {
  const flow::Start start = good();
  const auto pulled = [&](const flow::Problem& p, const Vector& direction) {
    Vector u(3);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) u[j] += direction[i] * start.state.values[i * 3 + j];
    }
    EXPECT_LE(relative_error(flow::projections(p, start.state), u), 1e-15) << flow::loss_name(p.loss);
  };
  pulled(start.problem, start.problem.beta);
  flow::Problem kl = start.problem;
  kl.loss = flow::Loss::kKl;
  kl.target = {0.7, 0.2, 0.1};
  pulled(kl, {0.7 - 1.0 / 3, 0.2 - 1.0 / 3, 0.1 - 1.0 / 3});
  flow::Problem least = start.problem;
  least.loss = flow::Loss::kLeastSquares;
  least.design = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
  least.beta = {10.0, -1.0};
  pulled(least, {6.0, 15.0, 24.0});
  flow::Start small = good(flow::Model::kReduced);
  EXPECT_EQ(flow::projections(small.problem, small.state), small.state.projections);
}

TEST(Reduced, KeepsOnlyWhatLiesAlongBeta) {
  const flow::Start logistic = good();
  const flow::State state = flow::reduced(logistic.problem, logistic.state);
  EXPECT_TRUE(state.values.empty());
  EXPECT_EQ(state.scores, logistic.state.scores);
  EXPECT_EQ(state.projections, flow::projections(logistic.problem, logistic.state));

  const flow::Start along = along_beta(4, 5, 132, row("softmax"));
  EXPECT_EQ(flow::reduced(along.problem, along.state).projections, flow::projections(along.problem, along.state));
  flow::Start across = along;
  across.state.values[7] += 1e-6;
  const std::string sentence = complaint_of([&] { flow::reduced(across.problem, across.state); });
  EXPECT_NE(sentence.find("V must lie along β (zeros do), or use value-softmax"), std::string::npos) << sentence;
}

TEST(Names, OfModelsAndLossesAreThoseOfTheCommandLine) {
  EXPECT_EQ(flow::model_names(), (std::vector<std::string_view>{"value-softmax", "reduced", "rows", "tied", "linear"}));
  EXPECT_EQ(flow::loss_names(), (std::vector<std::string_view>{"logistic", "square", "least-squares", "kl"}));
  for (const auto name : flow::model_names()) EXPECT_EQ(flow::model_name(flow::find_model(name)), name);
  for (const auto name : flow::loss_names()) EXPECT_EQ(flow::loss_name(flow::find_loss(name)), name);
  EXPECT_NE(complaint_of([] { flow::find_model("value-sofmax"); }).find("did you mean \"value-softmax\"?"),
            std::string::npos);
  EXPECT_NE(complaint_of([] { flow::find_loss("logistics"); }).find("did you mean \"logistic\"?"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
