// Each check holds where its theorem does, says why where it does not apply, and fires on a violation.
#include "polariscope/flow/checks.h"

#include "polariscope/flow/descent.h"
#include "polariscope/flow/gradient_flow.h"
#include "problems.h"

#include <map>
#include <numeric>
#include <set>

namespace polariscope::testing {
namespace {

constexpr int kTokens = 8;
constexpr double kRtol = 1e-10;
constexpr double kTolerance = 100.0 * kRtol;  // what the checks' header recommends for the flow

flow::Trajectory flow(const flow::Start& start, double until) {
  return flow::integrate(start.problem, start.state,
                         {.until = until, .times = {}, .rtol = kRtol, .singular_values = true, .progress = {}});
}

// To t = 1e120, past what every asymptotic statement needs.
const flow::Trajectory& logistic() {
  static const flow::Trajectory t = flow(level_start(kTokens, kTokens, 161), 1e120);
  return t;
}

// V₀ along β, softmax, a₀ = 0, to the minimum.
const flow::Trajectory& square() {
  static const flow::Trajectory t = flow(along_beta(kTokens, kTokens, 162, row("softmax")), 1e3);
  return t;
}

// Two tokens: the only pair is one with the winner, so the printed statement about a's differences holds.
const flow::Trajectory& two_tokens() {
  static const flow::Trajectory t = flow(level_start(3, 2, 163), 1e6);
  return t;
}

const flow::Trajectory& genuine(std::string_view id) {
  if (id == "A.thm3.2/a-differences") return two_tokens();
  if (id == "A.lem3.5/along-beta" || id.substr(0, 4) == "A.c1") return square();
  return logistic();
}

std::vector<std::string_view> ids() {
  std::vector<std::string_view> all;
  for (const flow::Check& check : flow::checks()) all.push_back(check.id);
  return all;
}

flow::CheckResult result_of(std::string_view id, const flow::Trajectory& t) {
  return flow::run_check(flow::find_check(id), t, kTolerance);
}

class EveryCheck : public ::testing::TestWithParam<std::string_view> {};

TEST_P(EveryCheck, HoldsOnATrajectoryThatMeetsItsPrecondition) {
  const flow::CheckResult result = result_of(GetParam(), genuine(GetParam()));
  EXPECT_TRUE(result.applies) << result.reason;
  EXPECT_TRUE(result.holds()) << "margin " << result.margin;
  EXPECT_EQ(result.reason, "");
  EXPECT_EQ(result.id, GetParam());
  EXPECT_FALSE(result.statement.empty());
}

// --- preconditions ----------------------------------------------------------------------------------

using Spoil = std::function<void(flow::Trajectory&)>;

void keep_until(flow::Trajectory& t, double time) {
  const auto kept = static_cast<std::size_t>(std::upper_bound(t.t.begin(), t.t.end(), time) - t.t.begin());
  const std::size_t all = t.points();
  for (Vector* record : {&t.t, &t.loss, &t.scores, &t.u, &t.sigma, &t.entropy, &t.abs_entropy, &t.winner,
                         &t.gradient_values, &t.gradient_scores, &t.gradient_output, &t.loss_rate, &t.strength,
                         &t.orthogonal, &t.singular_values, &t.effective_rank}) {
    record->resize(record->size() / all * kept);
  }
}

const Spoil kOtherModel = [](flow::Trajectory& t) { t.problem.model = flow::Model::kRows; };
const Spoil kTied = [](flow::Trajectory& t) { t.problem.model = flow::Model::kTied; };
const Spoil kReduced = [](flow::Trajectory& t) { t.problem.model = flow::Model::kReduced; };
const Spoil kOtherRow = [](flow::Trajectory& t) { t.problem.reweighting = &row("sigmoid"); };
const Spoil kOtherLoss = [](flow::Trajectory& t) { t.problem.loss = flow::Loss::kKl; };
const Spoil kDiverged = [](flow::Trajectory& t) { t.ending = flow::Ending::kDiverged; };
const Spoil kNotLevel = [](flow::Trajectory& t) { t.scores[1] += 0.1; };
const Spoil kTie = [](flow::Trajectory& t) { t.u[0] = t.u[1]; };
const Spoil kTooShort = [](flow::Trajectory& t) { keep_until(t, t.t[1]); };
const Spoil kNoSingularValues = [](flow::Trajectory& t) { t.singular_values.clear(); };
const Spoil kAcross = [](flow::Trajectory& t) { t.orthogonal[0] = 1e-3; };
const Spoil kNotFitted = [](flow::Trajectory& t) { t.loss.back() = 1e-3 * t.loss.front(); };
const Spoil kNearTie = [](flow::Trajectory& t) {
  // The second largest u₀ comes up to the largest.
  Vector u(t.u.begin(), t.u.begin() + t.problem.tokens);
  std::sort(u.rbegin(), u.rend());
  for (int i = 0; i < t.problem.tokens; ++i) {
    if (t.u[i] == u[1]) t.u[i] = u[0] - 1e-3 * (u.front() - u.back());
  }
};
Spoil before(double time) {
  return [time](flow::Trajectory& t) { keep_until(t, time); };
}

// What breaks the precondition of each check, each in another way.
std::vector<Spoil> spoils(std::string_view id) {
  std::vector<Spoil> theorem{kOtherModel, kTied, kOtherRow, kOtherLoss, kDiverged, kNotLevel, kTie, kTooShort};
  const auto with = [&](std::initializer_list<Spoil> more) {
    theorem.insert(theorem.end(), more);
    return theorem;
  };
  if (id == "A.lemB.1/bounded") return with({kNearTie, before(9e9)});
  if (id == "A.lemB.1/rank-one") return with({kNearTie, before(9e3), kNoSingularValues});
  if (id == "A.lemB.1/rate") return with({kNearTie, before(9e99)});
  if (id.substr(0, 7) == "A.thm3.") return id[7] == '3' ? with({kNearTie, before(900.0)}) : theorem;
  if (id == "A.lem3.5/along-beta") return {kOtherModel, kReduced, kOtherLoss, kDiverged, kAcross};
  if (id.substr(0, 4) == "A.c1") return {kOtherModel, kOtherLoss, kOtherRow, kDiverged, kNotFitted};
  if (id == "A.lemD.1/sum") return {kTied, kOtherRow, kDiverged};
  if (id == "A.lemD.2/rate") return {kTied, [](flow::Trajectory& t) { t.problem.rows = 2; }, kDiverged};
  return {kOtherModel,
          kOtherLoss,
          kDiverged,
          kNotLevel,
          kTie,
          kTooShort,
          kOtherRow,
          [](flow::Trajectory& t) { t.problem.reweighting = &row("relu/sum"); },
          [](flow::Trajectory& t) { t.problem.reweighting = &row("identity/sum"); }};
}

TEST_P(EveryCheck, SaysWhyItDoesNotApply) {
  std::set<std::string> reasons;
  for (const Spoil& spoil : spoils(GetParam())) {
    flow::Trajectory t = genuine(GetParam());
    spoil(t);
    const flow::CheckResult result = result_of(GetParam(), t);
    EXPECT_FALSE(result.applies) << "spoil " << reasons.size();
    EXPECT_NE(result.reason, "");
    EXPECT_TRUE(std::isnan(result.margin));
    EXPECT_FALSE(result.holds());
    reasons.insert(result.reason);
  }
  EXPECT_GE(reasons.size(), 2U) << "reasons must tell the parts of the precondition apart";
}

// A descent that leaves the finite numbers before its first record, and one that ends before it.
TEST_P(EveryCheck, DoesNotApplyToATrajectoryWithoutRecords) {
  flow::Trajectory none = flow::Trajectory::starting(genuine(GetParam()).problem, {});
  for (const flow::Ending ending : {flow::Ending::kDiverged, flow::Ending::kHorizon}) {
    none.ending = ending;
    const flow::CheckResult result = result_of(GetParam(), none);
    EXPECT_FALSE(result.applies);
    EXPECT_NE(result.reason, "");
  }
}

// --- planted violations -----------------------------------------------------------------------------

// Tokens by falling u₀.
std::vector<int> order(const flow::Trajectory& t) {
  std::vector<int> tokens(t.problem.tokens);
  std::iota(tokens.begin(), tokens.end(), 0);
  std::sort(tokens.begin(), tokens.end(), [&](int i, int j) { return t.u[i] > t.u[j]; });
  return tokens;
}

double& entry(flow::Trajectory& t, Vector& record, std::size_t n, int token) {
  return record[n * t.problem.tokens + token];
}

void swap_tokens(flow::Trajectory& t, Vector& record, std::size_t n, int i, int j) {
  std::swap(entry(t, record, n, i), entry(t, record, n, j));
}

// Two neighbours in order change places in one late record.
Spoil swapped(Vector flow::Trajectory::*record) {
  return [record](flow::Trajectory& t) {
    const auto tokens = order(t);
    swap_tokens(t, t.*record, t.points() / 2, tokens[tokens.size() - 2], tokens.back());
  };
}

// The records run backwards from the second on, as under a flow of the reversed sign.
Spoil reversed(Vector flow::Trajectory::*record) {
  return [record](flow::Trajectory& t) {
    const auto width = static_cast<std::ptrdiff_t>((t.*record).size() / t.points());
    Vector& r = t.*record;
    const Vector forward = r;
    const auto points = static_cast<std::ptrdiff_t>(t.points());
    for (std::ptrdiff_t n = 1; n < points; ++n) {
      std::copy_n(forward.begin() + (points - n) * width, width, r.begin() + n * width);
    }
  };
}

// Every record takes the values of the one at half of log t, as if it stopped there.
Spoil frozen(Vector flow::Trajectory::*record) {
  return [record](flow::Trajectory& t) {
    Vector& r = t.*record;
    const std::size_t width = r.size() / t.points();
    const double half = 0.5 * std::log1p(t.t.back());
    std::size_t from = 0;
    while (std::log1p(t.t[from]) < half) ++from;
    for (std::size_t n = from + 1; n < t.points(); ++n) {
      for (std::size_t i = 0; i < width; ++i) r[n * width + i] = r[from * width + i];
    }
  };
}

const std::multimap<std::string_view, Spoil>& violations() {
  static const std::multimap<std::string_view, Spoil> all{
      {"A.thm3.2/order", swapped(&flow::Trajectory::scores)},
      {"A.thm3.2/order", swapped(&flow::Trajectory::u)},
      {"A.thm3.2/u-differences", reversed(&flow::Trajectory::u)},
      {"A.thm3.2/u-differences", swapped(&flow::Trajectory::u)},
      {"A.thm3.2/a-differences", reversed(&flow::Trajectory::scores)},
      {"A.thm3.2/a-differences", swapped(&flow::Trajectory::scores)},
      {"A.thm3.2/winner-differences", reversed(&flow::Trajectory::scores)},
      {"A.thm3.2/winner-differences",
       [](flow::Trajectory& t) { entry(t, t.scores, t.points() / 2, order(t).front()) -= 0.5; }},
      {"A.thm3.2/lyapunov", swapped(&flow::Trajectory::scores)},
      {"A.thm3.2/lyapunov", swapped(&flow::Trajectory::u)},
      {"A.thm3.3/one-hot", frozen(&flow::Trajectory::sigma)},
      {"A.thm3.3/one-hot",
       [](flow::Trajectory& t) {
         // One loser catches up at the end.
         const auto tokens = order(t);
         entry(t, t.sigma, t.points() - 1, tokens.back()) = entry(t, t.sigma, t.points() - 1, tokens.front());
       }},
      {"A.thm3.3/strength", frozen(&flow::Trajectory::strength)},
      {"A.thm3.3/loss", frozen(&flow::Trajectory::loss)},
      {"A.thm3.3/loss", reversed(&flow::Trajectory::loss)},
      {"A.lemB.1/bounded",
       [](flow::Trajectory& t) { swap_tokens(t, t.u, t.points() - 1, order(t).front(), order(t).back()); }},
      {"A.lemB.1/rank-one", frozen(&flow::Trajectory::singular_values)},
      {"A.lemB.1/rank-one",
       [](flow::Trajectory& t) {
         const std::size_t width = t.singular_values.size() / t.points();
         t.singular_values[(t.points() - 1) * width + 1] = t.singular_values[(t.points() - 1) * width];
       }},
      {"A.lemB.1/rate", frozen(&flow::Trajectory::sigma)},
      {"A.lemB.1/rate",
       [](flow::Trajectory& t) {
         // A limit of 1/log t instead of 1/log² t.
         for (std::size_t n = 1; n < t.points(); ++n) {
           for (int i = 0; i < t.problem.tokens; ++i) {
             if (i != order(t).front()) entry(t, t.sigma, n, i) *= std::log(2.0 + t.t[n]);
           }
         }
       }},
      {"A.lem3.5/along-beta", [](flow::Trajectory& t) { t.orthogonal.back() = 1e-5; }},
      {"A.c1/strength",
       [](flow::Trajectory& t) {
         // ∫‖∇L‖dt that grows with t for ever.
         for (std::size_t n = 0; n < t.points(); ++n) t.strength[n] = t.t[n];
       }},
      {"A.c1/not-one-hot",
       [](flow::Trajectory& t) {
         for (int i = 0; i < t.problem.tokens; ++i) entry(t, t.sigma, t.points() - 1, i) = i == 3 ? 1.0 : 0.0;
       }},
      {"A.lemD.1/sum", [](flow::Trajectory& t) { t.scores[t.scores.size() / 2] += 1e-4; }},
      {"A.lemD.2/rate",
       [](flow::Trajectory& t) {
         for (double& rate : t.loss_rate) rate = -rate;
       }},
      {"A.lemD.2/rate", [](flow::Trajectory& t) { t.gradient_output[t.points() / 2] *= 3.0; }},
      {"A.lemD.4/order", swapped(&flow::Trajectory::scores)},
  };
  return all;
}

TEST_P(EveryCheck, FiresOnAPlantedViolation) {
  const auto [first, last] = violations().equal_range(GetParam());
  ASSERT_NE(first, last) << "a check without a planted violation has never been seen to fail";
  int number = 0;
  for (auto violation = first; violation != last; ++violation, ++number) {
    flow::Trajectory t = genuine(GetParam());
    violation->second(t);
    const flow::CheckResult result = result_of(GetParam(), t);
    EXPECT_TRUE(result.applies) << result.reason << ", violation " << number;
    EXPECT_FALSE(result.holds()) << "margin " << result.margin << ", violation " << number;
  }
}

std::string check_name(const ::testing::TestParamInfo<std::string_view>& info) {
  std::string name(info.param);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Checks, EveryCheck, ::testing::ValuesIn(ids()), check_name);

// --- beyond one check -------------------------------------------------------------------------------

// What the paper prints for every pair fails for pairs of losers; what it proves for the winner holds.
TEST(Checks, FindThatTheDifferencesOfTwoLosersShrinkInTheEnd) {
  const flow::CheckResult printed = result_of("A.thm3.2/a-differences", logistic());
  EXPECT_TRUE(printed.applies);
  EXPECT_FALSE(printed.holds());
  EXPECT_TRUE(result_of("A.thm3.2/winner-differences", logistic()).holds());
}

TEST(Checks, RunTogetherAsTheyRunAlone) {
  const auto together = flow::run_checks(logistic(), kTolerance);
  ASSERT_EQ(together.size(), flow::checks().size());
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].id, flow::checks()[i].id);
    const flow::CheckResult alone = flow::run_check(flow::checks()[i], logistic(), kTolerance);
    EXPECT_EQ(together[i].applies, alone.applies);
    if (alone.applies) {
      EXPECT_EQ(together[i].margin, alone.margin);
    }
  }
}

TEST(Checks, HaveUniqueIdsAndAreFoundByThem) {
  std::set<std::string_view> seen;
  for (const flow::Check& check : flow::checks()) {
    EXPECT_TRUE(seen.insert(check.id).second) << check.id;
    EXPECT_EQ(&flow::find_check(check.id), &check);
    EXPECT_FALSE(check.precondition.empty());
  }
  EXPECT_NE(complaint_of([] { flow::find_check("A.thm3.2/oder"); }).find("did you mean \"A.thm3.2/order\"?"),
            std::string::npos);
}

// Just past the time that a statement about the limit asks for, and on many starts.
TEST(Checks, OfTheLimitHoldFromTheirShortestHorizonOn) {
  for (std::uint64_t seed = 200; seed < 220; ++seed) {
    for (const double until : {1.01e3, 1.01e4, 1.01e10, 1.01e100}) {
      const flow::Trajectory t = flow(level_start(kTokens, kTokens, seed), until);
      for (const flow::CheckResult& result : flow::run_checks(t, kTolerance)) {
        if (!result.applies || result.id == "A.thm3.2/a-differences") continue;
        EXPECT_TRUE(result.holds()) << result.id << " to " << until << ": margin " << result.margin << ", seed "
                                    << seed;
      }
    }
  }
}

// By gradient descent under the C++ interface: `samples` may begin above 0.
TEST(Checks, ReadNoRecordOfADescentThatDivergesBeforeItsFirst) {
  const flow::Start start = along_beta(kTokens, kTokens, 165, row("softmax"));
  const flow::Trajectory t =
      flow::descend(start.problem, start.state, {.step = 1e200, .steps = 100, .samples = {50, 100}, .progress = {}});
  ASSERT_EQ(t.points(), 0U);
  ASSERT_EQ(t.ending, flow::Ending::kDiverged);
  for (const flow::CheckResult& result : flow::run_checks(t, kTolerance)) EXPECT_FALSE(result.applies) << result.id;
}

// Rows keep their sums each for itself: what one loses another must not make up for.
TEST(Checks, TheSumOfScoresIsConservedRowByRow) {
  flow::StartOptions options;
  options.rows = 3;
  options.score_scale = 0.3;
  const flow::Start start = flow::random_start(flow::Model::kRows, flow::Loss::kLogistic, row("softmax"), options, 164);
  flow::Trajectory t = flow(start, 1e3);
  EXPECT_TRUE(result_of("A.lemD.1/sum", t).holds());
  const std::size_t record = 5;
  t.scores[record * t.row_width() + 0] += 1e-3;
  t.scores[record * t.row_width() + kTokens] -= 1e-3;
  EXPECT_FALSE(result_of("A.lemD.1/sum", t).holds());
}

TEST(OneHotRate, TendsToItsLimitsAndNeedsTwoRecords) {
  const flow::OneHotRate rate = flow::one_hot_rate(logistic(), 1e60);
  EXPECT_NEAR(rate.slope, -2.0, 0.05);
  EXPECT_NEAR(rate.constant, 1.0, 0.1);
  const flow::OneHotRate none = flow::one_hot_rate(logistic(), 1e200);
  EXPECT_TRUE(std::isnan(none.slope));
  EXPECT_TRUE(std::isnan(none.constant));
}

}  // namespace
}  // namespace polariscope::testing
