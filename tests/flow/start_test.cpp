#include "polariscope/flow/start.h"

#include "polariscope/base/files.h"
#include "polariscope/base/parallel.h"
#include "polariscope/flow/start_arrays.h"
#include "problems.h"
#include "support/temporary_folder.h"

#include <Eigen/SVD>
#include <nlohmann/json.hpp>

#include <numeric>

namespace polariscope::testing {
namespace {

using nlohmann::json;

// --- random starts ----------------------------------------------------------------------------------

TEST(RandomStart, IsTheSameWhoeverDrawsIt) {
  constexpr int kCount = 40;
  const auto draw = [](int threads, bool backwards) {
    std::vector<flow::Start> starts(kCount);
    parallel_for(kCount, threads, [&](std::int64_t n) {
      const auto i = backwards ? kCount - 1 - n : n;
      starts[i] = flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, row("softmax"),
                                     tame(4, 3, 1), 141, i);
    });
    return starts;
  };
  const auto alone = draw(1, false);
  for (const auto& other : {draw(3, false), draw(2, true)}) {
    for (int i = 0; i < kCount; ++i) {
      EXPECT_EQ(other[i].state.values, alone[i].state.values);
      EXPECT_EQ(other[i].state.scores, alone[i].state.scores);
      EXPECT_EQ(other[i].problem.beta, alone[i].problem.beta);
      EXPECT_EQ(other[i].problem.design, alone[i].problem.design);
    }
  }
  EXPECT_NE(alone[0].state.values, alone[1].state.values);
  EXPECT_NE(flow::random_start(flow::Model::kLinear, flow::Loss::kSquare, row("identity"), {}, 1).state.values,
            flow::random_start(flow::Model::kLinear, flow::Loss::kSquare, row("identity"), {}, 2).state.values);
}

TEST(RandomStart, DrawsWhatItsDescriptionSays) {
  flow::StartOptions options = tame(5, 4, 1);
  const flow::Start logistic =
      flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("softmax"), options, 142);
  EXPECT_NEAR(std::inner_product(logistic.problem.beta.begin(), logistic.problem.beta.end(),
                                 logistic.problem.beta.begin(), 0.0),
              1.0, 1e-15);
  const flow::Start kl = flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kKl, row("softmax"), options, 142);
  EXPECT_NEAR(std::accumulate(kl.problem.target.begin(), kl.problem.target.end(), 0.0), 1.0, 1e-15);
  EXPECT_TRUE(kl.problem.beta.empty());

  options.condition = 5.0;
  options.samples = 7;
  const flow::Start least =
      flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, row("softmax"), options, 142);
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::VectorXd singular =
      Eigen::JacobiSVD<Matrix>(Eigen::Map<const Matrix>(least.problem.design.data(), 7, 5)).singularValues();
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(singular(i), 1.0 - 0.2 * i, 1e-14);  // linspace(1, 1/5)

  options = tame(4, 4, 1);
  options.value_scale = 0.0;
  const flow::Start tied = flow::random_start(flow::Model::kTied, flow::Loss::kLogistic, row("softmax"), options, 142);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(tied.state.values[i], i % 5 == 0 ? 1.0 : 0.0);
  const flow::Start rows =
      flow::random_start(flow::Model::kRows, flow::Loss::kLogistic, row("softmax"), tame(2, 3, 4), 142);
  EXPECT_EQ(rows.state.scores.size(), 12U);
  const flow::Start square =
      flow::random_start(flow::Model::kReduced, flow::Loss::kSquare, row("softmax"), options, 142);
  EXPECT_EQ(square.state.projections, Vector(4, 0.0));
}

TEST(RandomStart, TheReducedStartIsThatOfTheSameDraw) {
  const flow::Start full = level_start(8, 8, 143);
  const flow::Start small = level_start(8, 8, 143, flow::Model::kReduced);
  EXPECT_EQ(small.problem.beta, full.problem.beta);
  EXPECT_EQ(small.state.projections, flow::projections(full.problem, full.state));
}

TEST(RandomStart, TheUsualStartFitsEveryCombination) {
  for (const Combination& one : combinations()) {
    const flow::StartOptions options = flow::usual_start(one.model, one.loss, *one.reweighting);
    const flow::Start start = flow::random_start(one.model, one.loss, *one.reweighting, options, 144);
    EXPECT_EQ(complaint_of([&] { flow::validate(start.problem, start.state); }), "") << one.name();
    // f(0) = 0 would leave a = 0 without any weight.
    if (!(reweighting::weight(*one.reweighting, 0.0) > 0.0)) {
      EXPECT_EQ(options.score_offset, 1.0) << one.name();
    }
  }
  EXPECT_EQ(flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, row("softmax")).score_scale, 0.0);
  EXPECT_EQ(flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, row("softmax")).value_scale, 1e-5);
}

TEST(RandomStart, RefusesAConditionNumberThatIsNone) {
  const auto complaint = [](double condition) {
    return complaint_of([&] {
      flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, row("softmax"),
                         {.condition = condition}, 1);
    });
  };
  EXPECT_EQ(complaint(0.0), "the condition number is 0: it must be finite and at least 1");
  EXPECT_EQ(complaint(-5.0), "the condition number is -5: it must be finite and at least 1");
  EXPECT_NE(complaint(INFINITY), "");
  EXPECT_NE(complaint(NAN), "");
  EXPECT_EQ(complaint(1.0), "");
}

TEST(RandomStart, RefusesSizesBelowOne) {
  EXPECT_NE(
      complaint_of([] { flow::random_start(flow::Model::kTied, flow::Loss::kKl, row("softmax"), {.outputs = 0}, 1); }),
      "");
  EXPECT_NE(
      complaint_of([] { flow::random_start(flow::Model::kTied, flow::Loss::kKl, row("softmax"), {.tokens = -1}, 1); }),
      "");
}

// --- arrays from JSON -------------------------------------------------------------------------------

// A start of the sizes that the arrays imply, with them applied.
flow::Start started(flow::Model model, flow::Loss loss, const json& arrays, std::string_view name = "softmax") {
  const flow::StartOptions options = flow::sized_by(arrays, model, loss, flow::StartOptions{});
  flow::Start start = flow::random_start(model, loss, row(name), options, 145);
  flow::apply_arrays(start, arrays, "init.json");
  return start;
}

std::string complaint(flow::Model model, flow::Loss loss, const std::string& text, std::string_view name = "softmax") {
  return complaint_of([&] { started(model, loss, json::parse(text), name); });
}
std::string complaint(const std::string& text) {
  return complaint(flow::Model::kValueSoftmax, flow::Loss::kLogistic, text);
}

TEST(Arrays, GiveSizesAndNumbers) {
  const flow::Start start = started(flow::Model::kValueSoftmax, flow::Loss::kLogistic,
                                    json::parse(R"({"V": [[1, 2, 3], [4, 5, 6]], "a": [0, 0.5, 1], "beta": [1, -1]})"));
  EXPECT_EQ(start.problem.outputs, 2);
  EXPECT_EQ(start.problem.tokens, 3);
  EXPECT_EQ(start.state.values, (Vector{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(start.state.scores, (Vector{0, 0.5, 1}));
  EXPECT_EQ(start.problem.beta, (Vector{1, -1}));

  const flow::Start rows =
      started(flow::Model::kRows, flow::Loss::kSquare, json::parse(R"({"a": [[1, 2], [3, 4], [5, 6]]})"));
  EXPECT_EQ(rows.problem.rows, 3);
  EXPECT_EQ(rows.problem.tokens, 2);
  EXPECT_EQ(rows.state.scores, (Vector{1, 2, 3, 4, 5, 6}));

  const flow::Start tied =
      started(flow::Model::kTied, flow::Loss::kLogistic, json::parse(R"({"U": [[1, 2], [3, 4]], "a": [1, 1]})"));
  EXPECT_EQ(tied.state.values, (Vector{1, 2, 3, 4}));
  EXPECT_EQ(tied.problem.outputs, 2);

  const flow::Start small =
      started(flow::Model::kReduced, flow::Loss::kLogistic, json::parse(R"({"V": [[1, 2], [3, 4]], "beta": [1, -1]})"));
  EXPECT_EQ(small.state.projections, (Vector{-2, -2}));
  EXPECT_TRUE(small.state.values.empty());
}

TEST(Arrays, OfLeastSquaresMayBringMoreSamplesThanOutputs) {
  const flow::Start both = started(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares,
                                   json::parse(R"({"X": [[1, 0], [0, 1], [1, 1]], "beta": [1, 2, 3], "a": [0, 0]})"));
  EXPECT_EQ(both.problem.samples(), 3);
  EXPECT_EQ(both.problem.outputs, 2);
  EXPECT_EQ(both.problem.design, (Vector{1, 0, 0, 1, 1, 1}));
  // X alone says how many samples there are, too.
  const flow::Start alone =
      started(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, json::parse(R"({"X": [[1, 0], [0, 1], [1, 1]]})"));
  EXPECT_EQ(alone.problem.samples(), 3);
  EXPECT_EQ(alone.problem.outputs, 2);
}

TEST(Arrays, RefuseXAndBetaOfDifferentLengths) {
  const std::string sentence = complaint(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares,
                                         R"({"X": [[1, 0], [0, 1], [1, 1]], "beta": [1, 2]})");
  EXPECT_NE(sentence.find("expected"), std::string::npos) << sentence;
  EXPECT_NE(complaint(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, R"({"X": [[1, 0]], "V": [[1, 2]]})"), "");
}

TEST(Arrays, RefuseKeysThatHaveNoPlace) {
  EXPECT_NE(complaint(R"({"v": [[1]]})").find("did you mean \"V\"?"), std::string::npos)
      << complaint(R"({"v": [[1]]})");
  EXPECT_NE(complaint(R"({"pstar": [1]})").find("did you mean \"p_star\"?"), std::string::npos);
  EXPECT_EQ(complaint(R"({"U": [[1]]})"), "init.json: \"U\" has no place here: only the tied model has a U; give V");
  EXPECT_EQ(complaint(R"({"X": [[1]]})"),
            "init.json: \"X\" has no place here: only the least-squares loss has a design matrix");
  EXPECT_EQ(complaint(R"({"p_star": [1]})"),
            "init.json: \"p_star\" has no place here: only the kl loss has a target distribution");
  EXPECT_EQ(complaint(flow::Model::kTied, flow::Loss::kLogistic, R"({"V": [[1]]})"),
            "init.json: \"V\" has no place here: the tied model's matrix is U");
  EXPECT_EQ(complaint(flow::Model::kValueSoftmax, flow::Loss::kKl, R"({"beta": [1]})"),
            "init.json: \"beta\" has no place here: the kl loss has a target distribution p_star");
  EXPECT_EQ(complaint(flow::Model::kReduced, flow::Loss::kLogistic, R"({"beta": [1, 2]})"),
            "init.json: the reduced model takes beta together with V (u = Vᵀβ)");
}

TEST(Arrays, RefuseShapesWithOneSentence) {
  EXPECT_EQ(complaint(R"({"V": [[1, 2], [3]]})"),
            "init.json: \"V\" has 2 rows and row 1 has 1 numbers, expected 2 rows of 2");
  EXPECT_EQ(complaint(R"({"V": [[1, 2], [3, 4]], "a": [1, 2, 3]})"),
            "init.json: \"a\" has 3 numbers, expected 2 (one a token, 1 row)");
  EXPECT_EQ(complaint(R"({"V": [[1, 2], [3, 4]], "beta": [1]})"),
            "init.json: \"beta\" has 1 numbers, expected 2 (one a row of V)");
  for (const char* text : {R"([1, 2])",
                           R"("V")",
                           R"(null)",
                           R"({"V": 3})",
                           R"({"V": []})",
                           R"({"V": [[]]})",
                           R"({"V": [1, 2]})",
                           R"({"V": [[1, 2], 3]})",
                           R"({"V": {"0": [1]}})",
                           R"({"V": null})",
                           R"({"a": []})",
                           R"({"a": [[]]})",
                           R"({"a": 7})",
                           R"({"a": [[1, 2], [3]]})",
                           R"({"a": [[1, 2], [3, 4]]})",
                           R"({"a": [1, [2]]})",
                           R"({"beta": []})",
                           R"({"beta": "x"})",
                           R"({"beta": [0, 0]})",
                           R"({"V": [[1, null]]})",
                           R"({"a": [1, null]})",
                           R"({"a": [1, "2"]})",
                           R"({"a": [true]})"}) {
    const std::string sentence = complaint(text);
    EXPECT_NE(sentence, "") << text;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
  }
  EXPECT_EQ(complaint(R"({"a": [1, null]})"), "init.json: \"a\" holds null: every entry must be a finite number");
  EXPECT_NE(complaint(flow::Model::kValueSoftmax, flow::Loss::kKl, R"({"p_star": [0.5, 0.6]})")
                .find("it must be a distribution"),
            std::string::npos);
  EXPECT_NE(complaint(flow::Model::kTied, flow::Loss::kLogistic, R"({"U": [[1, 2, 3], [4, 5, 6]]})"), "");
  EXPECT_NE(complaint(flow::Model::kReduced, flow::Loss::kSquare, R"({"V": [[1, 2], [3, 4]], "beta": [1, 0]})")
                .find("along β"),
            std::string::npos);
}

TEST(Arrays, OfTheKlLossHaveOneRowAToken) {
  const json arrays = json::parse(R"({"V": [[1, 2, 3], [4, 5, 6]], "p_star": [0.2, 0.3, 0.5]})");
  const flow::Start start = started(flow::Model::kValueSoftmax, flow::Loss::kKl, arrays);
  EXPECT_EQ(start.problem.tokens, 2);
  EXPECT_EQ(start.problem.outputs, 3);
  EXPECT_EQ(start.state.values, (Vector{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(flow::values_as_rows(start.problem, start.state), arrays["V"]);
  const json other = json::parse(R"({"V": [[1, 2, 3], [4, 5, 6]]})");
  const flow::Start logistic = started(flow::Model::kValueSoftmax, flow::Loss::kLogistic, other);
  EXPECT_EQ(flow::values_as_rows(logistic.problem, logistic.state), other["V"]);
  const flow::Start tied =
      started(flow::Model::kTied, flow::Loss::kKl, json::parse(R"({"U": [[1, 2], [3, 4]], "p_star": [0.5, 0.5]})"));
  EXPECT_EQ(tied.state.values, (Vector{1, 2, 3, 4}));
}

// --- files ------------------------------------------------------------------------------------------

std::string file_complaint(const std::string& text) {
  const TemporaryFolder folder;
  write_file(folder.path() / "init.json", text);
  return complaint_of([&] { flow::read_arrays(folder.path() / "init.json"); });
}

TEST(ArraysFile, NamesNumbersThatJsonLacks) {
  EXPECT_NE(file_complaint("{\"a\": [1,\n NaN]}").find("holds NaN at line 2: every number must be finite"),
            std::string::npos);
  EXPECT_NE(file_complaint("{\"a\": [-Infinity]}").find("holds -Infinity at line 1"), std::string::npos);
  for (const char* text :
       {"{\"a\": [1e999]}", "{\"a\": [-1e999]}", "{\"a\": [1,]}", "", "{", "{\"a\": [1]} x", "\xff\xfe"}) {
    const std::string sentence = file_complaint(text);
    EXPECT_NE(sentence.find("init.json"), std::string::npos) << text << " gives: " << sentence;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
  }
  EXPECT_EQ(file_complaint("{\"a\": [1e300, -4.9e-324]}"), "");
}

TEST(ArraysFile, OfSomethingElseIsRefused) {
  for (const char* text : {"null", "true", "3", "\"V\"", "[]"}) {
    EXPECT_NE(file_complaint(text).find("init.json: expected a JSON object with any of V"), std::string::npos) << text;
  }
}

TEST(ArraysFile, ThatHasANameTwiceIsRefused) {
  EXPECT_NE(file_complaint(R"({"a": [1, 2], "beta": [1], "a": [3, 4]})").find("init.json has \"a\" twice"),
            std::string::npos);
  EXPECT_EQ(file_complaint(R"({"a": [1, 2], "beta": [1]})"), "");
}

TEST(ArraysFile, ThatIsMissingIsNamed) {
  EXPECT_NE(complaint_of([] { flow::read_arrays("no/such/file.json"); }).find("no/such/file.json"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
