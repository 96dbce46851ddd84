// The conformance suite: what every row of the table promises.
#include "polariscope/reweighting/reweighting.h"

#include "polariscope/base/error.h"
#include "polariscope/reweighting/table-inl.h"
#include "rows.h"

#include <algorithm>
#include <array>
#include <complex>
#include <limits>
#include <set>

namespace polariscope::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Conformance : public EveryRow {};

// --- f and f' ---------------------------------------------------------------------------------------

// f of a complex number, for the complex step: comparisons look at the real part, |z| is ±z.
struct ComplexMath {
  using Real = std::complex<double>;
  Real constant(double value) const { return value; }
  Real exp(Real x) const { return std::exp(x); }
  Real abs(Real x) const { return x.real() < 0.0 ? -x : x; }
  Real negate(Real x) const { return -x; }
  bool less(Real a, Real b) const { return a.real() < b.real(); }
  bool is_nan(Real x) const { return std::isnan(x.real()); }
  Real select(bool condition, Real yes, Real no) const { return condition ? yes : no; }
};

std::complex<double> complex_weight(const reweighting::Reweighting& row, std::complex<double> z) {
  using Weight = std::complex<double> (*)(std::complex<double>);
  constexpr auto kWeights = std::apply(
      [](auto... rows) {
        return std::array<Weight, sizeof...(rows)>{
            [](std::complex<double> x) { return decltype(rows)::Function::weight(ComplexMath(), x); }...};
      },
      reweighting::HWY_NAMESPACE::kTable);
  return kWeights[reweighting::reweighting_index(row)](z);
}

// Scores on both sides of the kinks at 0, none within 0.1 of them.
Vector scores_off_the_kinks() {
  Vector z;
  for (double x = 0.1; x < 30.0; x *= 1.07) z.insert(z.end(), {x, -x});
  return z;
}

// f(z + ih) = f(z) + ih f'(z) - h² f''/2: with h = 1e-100 the imaginary part is the slope to rounding,
// which for sigmoid is that of 1 - f: an absolute 1e-16.
TEST_P(Conformance, TheSlopeIsTheComplexStepDerivative) {
  constexpr double kStep = 1e-100;
  for (const double z : scores_off_the_kinks()) {
    const double expected = complex_weight(row(), {z, kStep}).imag() / kStep;
    EXPECT_NEAR(reweighting::weight_slope(row(), z), expected, 1e-14 * std::abs(expected) + 2e-16) << "z = " << z;
  }
}

TEST_P(Conformance, TheComplexFunctionIsTheRealOneOnTheRealLine) {
  for (const double z : scores_off_the_kinks()) {
    const double found = reweighting::weight(row(), z);
    EXPECT_NEAR(complex_weight(row(), z).real(), found, 1e-15 * std::abs(found)) << "z = " << z;
  }
}

// Order 8, step 1/64: truncation h⁸f⁽⁹⁾/630 is 1e-17 of f⁽⁹⁾, rounding 1e-14 of f.
TEST_P(Conformance, TheSlopeIsTheLimitOfDifferences) {
  constexpr double kStep = 0x1p-6;
  for (const double z : scores_off_the_kinks()) {
    const auto difference = [&](int n) {
      return reweighting::weight(row(), z + n * kStep) - reweighting::weight(row(), z - n * kStep);
    };
    const double slope =
        (4.0 / 5 * difference(1) - 1.0 / 5 * difference(2) + 4.0 / 105 * difference(3) - 1.0 / 280 * difference(4)) /
        kStep;
    EXPECT_NEAR(reweighting::weight_slope(row(), z), slope, 1e-12 * (1.0 + std::abs(reweighting::weight(row(), z))))
        << "z = " << z;
  }
}

// --- the normaliser ---------------------------------------------------------------------------------

TEST_P(Conformance, ARowIsItsWeightsOverItsNormaliser) {
  constexpr std::uint64_t kSeed = 41;
  RandomStream random(kSeed, 0);
  for (int trial = 0; trial < 500; ++trial) {
    const Vector z = normal(random, 1 + static_cast<int>(random.below(20)), 2.0);
    const Vector p = reweighted(row(), z);
    Vector w;
    for (double score : z) w.push_back(reweighting::weight(row(), score));
    const double total = sum(w);
    double n = 1.0;
    if (row().sums_to_one) n = total;
    if (row().name == "softmax1") n = total + 1.0;
    if (row().name == "identity/max1") n = std::max(std::abs(total), 1.0);
    double largest = 0.0;
    for (double x : w) largest = std::max(largest, std::abs(x));
    for (std::size_t j = 0; j < z.size(); ++j) {
      // The sum's rounding is relative to its largest term, which may be far above the sum.
      const double expected = n == 0.0 ? 0.0 : w[j] / n;
      const double rounding = 1e-14 * (1.0 + (n == 0.0 ? 0.0 : largest / std::abs(n)));
      EXPECT_NEAR(p[j], expected, rounding * std::abs(expected) + 1e-300) << "seed " << kSeed << ", trial " << trial;
    }
  }
}

TEST_P(Conformance, SumsToOneExactlyWhereTheTableSaysSo) {
  constexpr std::uint64_t kSeed = 42;
  RandomStream random(kSeed, 0);
  bool ever_off = false;
  for (int trial = 0; trial < 2000; ++trial) {
    const Vector z =
        normal(random, 1 + static_cast<int>(random.below(40)), std::pow(10.0, -2.0 + 4.0 * random.uniform()));
    const Vector p = reweighted(row(), z);
    double size = 0.0;
    double total_weight = 0.0;
    for (std::size_t j = 0; j < z.size(); ++j) {
      size += std::abs(p[j]);
      total_weight += reweighting::weight(row(), z[j]);
    }
    if (row().sums_to_one && (row().shift_invariant || total_weight != 0.0)) {
      EXPECT_NEAR(sum(p), 1.0, 1e-14 * size) << "seed " << kSeed << ", trial " << trial;  // a few roundings a token
    }
    ever_off = ever_off || std::abs(sum(p) - 1.0) > 1e-3;
  }
  if (!row().sums_to_one) {
    EXPECT_TRUE(ever_off) << "the table says no, yet every row summed to 1";
  }
}

TEST(Softmax1, LeavesToTheSinkWhatItsRowLacks) {
  const reweighting::Reweighting& row = reweighting::find_reweighting("softmax1");
  RandomStream random(43, 0);
  for (int trial = 0; trial < 200; ++trial) {
    const Vector z = normal(random, 5, 3.0);
    double total = 0.0;
    for (double score : z) total += std::exp(score);
    const double missing = 1.0 - sum(reweighted(row, z));
    EXPECT_GT(missing, 0.0);
    EXPECT_NEAR(missing, 1.0 / (1.0 + total), 1e-15);
  }
}

TEST(Relu, ARowWithoutAnyPositiveScoreAttendsToNothing) {
  const reweighting::Reweighting& row = reweighting::find_reweighting("relu/sum");
  EXPECT_EQ(reweighted(row, {-1.0, -2.0, 0.0}), Vector(3, 0.0));
  Vector dz(3, kNan);
  reweighting::reweight_vjp(row, Vector{-1.0, -2.0, 0.0}, Vector{1.0, 2.0, 3.0}, dz);
  EXPECT_EQ(dz, Vector(3, 0.0));
}

// --- stability --------------------------------------------------------------------------------------

bool all_finite(const Vector& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

// Rows of scores of size `scale` that have tempted implementations to overflow. Scores whose sum is
// small against them are left out: z/Σz has a pole there.
std::vector<Vector> tempting_rows(double scale) {
  std::vector<Vector> rows{{scale},
                           {-scale},
                           Vector(7, scale),
                           Vector(7, -scale),
                           Vector(7, 0.0),
                           {scale, 0.0, 0.0, 0.0},
                           {-scale, 0.0, 0.0, 0.0},
                           {0.0, 0.0, -scale, 1.0},
                           {scale, -scale / 2.0, 1.0, 0.5}};
  RandomStream random(44, 0);
  for (int trial = 0; trial < 50; ++trial) rows.push_back(normal(random, 9, scale / 4.0));
  return rows;
}

TEST_P(Conformance, StaysFiniteUpToScoresOfTenThousand) {
  for (const double scale : {1e-320, 1e-310, 1e-200, 1e-100, 1.0, 100.0, 700.0, 720.0, 745.0, 1e3, 1e4}) {
    for (const Vector& z : tempting_rows(scale)) {
      const Vector p = reweighted(row(), z);
      EXPECT_TRUE(all_finite(p)) << ::testing::PrintToString(z) << " gives " << ::testing::PrintToString(p);
      if (scale < 1e-100) continue;  // the slope of z/Σz is 1/Σz
      Vector dz(z.size());
      reweighting::reweight_vjp(row(), z, Vector(z.size(), 1.0), dz);
      EXPECT_TRUE(all_finite(dz)) << ::testing::PrintToString(z) << " gives the gradient "
                                  << ::testing::PrintToString(dz);
    }
  }
}

TEST_P(Conformance, EqualScoresShareEqually) {
  for (const double score : {1e4, 700.0, 1.0, 1e-3}) {
    for (const int tokens : {1, 2, 7, 64}) {
      const Vector p = reweighted(row(), Vector(tokens, score));
      for (double x : p) EXPECT_EQ(x, p[0]);
      if (row().sums_to_one) {
        EXPECT_NEAR(p[0], 1.0 / tokens, 1e-15);
      }
    }
  }
}

// The weight of one outlier among `others` of score 0, and one of theirs, as the outlier's score goes to 1e4.
struct Limit {
  double outlier, other;
};
Limit outlier_limit(const reweighting::Reweighting& row, double z, int others) {
  if (row.name == "softmax") return z > 0 ? Limit{1.0, 0.0} : Limit{0.0, 1.0 / others};
  if (row.name == "softmax1") return z > 0 ? Limit{1.0, 0.0} : Limit{0.0, 1.0 / (others + 1.0)};
  if (row.name == "sigmoid") return {z > 0 ? 1.0 : 0.0, 0.5};
  if (row.name == "sigmoid/sum") {
    const double total = 0.5 * others + (z > 0 ? 1.0 : 0.0);
    return {(z > 0 ? 1.0 : 0.0) / total, 0.5 / total};
  }
  if (row.name == "relu") return {std::max(z, 0.0), 0.0};
  if (row.name == "relu/sum") return {z > 0 ? 1.0 : 0.0, 0.0};
  if (row.name == "elu1") return {z > 0 ? z + 1.0 : 0.0, 1.0};
  if (row.name == "elu1/sum") {
    const double total = others + (z > 0 ? z + 1.0 : 0.0);
    return {(z > 0 ? z + 1.0 : 0.0) / total, 1.0 / total};
  }
  if (row.name == "identity") return {z, 0.0};
  if (row.name == "identity/max1") return {z > 0 ? 1.0 : -1.0, 0.0};
  if (row.name == "uniform") return {1.0 / (others + 1.0), 1.0 / (others + 1.0)};
  return {1.0, 0.0};  // Sum, L1, L2
}

TEST_P(Conformance, OneOutlierHasTheLimitOfItsFormula) {
  for (const double z : {1e4, -1e4}) {
    const Limit limit = outlier_limit(row(), z, 3);
    const Vector p = reweighted(row(), {0.0, 0.0, z, 0.0});
    EXPECT_NEAR(p[2], limit.outlier, 1e-15 * std::abs(limit.outlier)) << "z = " << z;
    for (const int j : {0, 1, 3}) EXPECT_NEAR(p[j], limit.other, 1e-15) << "z = " << z;
  }
}

// --- NaN --------------------------------------------------------------------------------------------

TEST_P(Conformance, NaNInIsNaNOut) {
  for (const int tokens : {1, 2, 5, 9}) {
    for (int at = 0; at < tokens; ++at) {
      Vector z(tokens, 0.5);
      z[at] = kNan;
      const Vector p = reweighted(row(), z);
      EXPECT_TRUE(std::isnan(p[at])) << "token " << at << " of " << tokens;
      for (int j = 0; j < tokens; ++j) {
        if (normalised()) {
          EXPECT_TRUE(std::isnan(p[j])) << "token " << j << " hides the NaN at " << at << " of " << tokens;
        }
        if (!normalised() && j != at) {
          EXPECT_FALSE(std::isnan(p[j]));
        }
      }
    }
  }
  EXPECT_TRUE(std::isnan(reweighting::weight(row(), kNan)));
}

// --- properties -------------------------------------------------------------------------------------

TEST_P(Conformance, IsPositiveWhereTheTableSaysSoAndOnlyThere) {
  RandomStream random(45, 0);
  bool ever_negative = false;
  for (int trial = 0; trial < 2000; ++trial) {
    const Vector p = reweighted(row(), normal(random, 6, std::pow(10.0, -2.0 + 6.0 * random.uniform())));
    ever_negative = ever_negative || std::any_of(p.begin(), p.end(), [](double x) { return x < 0.0; });
  }
  EXPECT_EQ(ever_negative, !row().positive);
}

TEST_P(Conformance, IsMonotoneWhereTheTableSaysSoAndOnlyThere) {
  RandomStream random(46, 0);
  bool ever_falls = false;
  for (int trial = 0; trial < 20'000; ++trial) {
    const double scale = std::pow(10.0, -2.0 + 4.0 * random.uniform());
    const double x = scale * random.normal();
    const double y = scale * random.normal();
    ever_falls = ever_falls || reweighting::weight(row(), std::min(x, y)) > weight(row(), std::max(x, y));
    ever_falls = ever_falls || reweighting::weight_slope(row(), x) < 0.0;
  }
  EXPECT_EQ(ever_falls, !row().monotone);
}

// Within ±30, where sigmoid's slope is above the rounding of 1 - f.
TEST_P(Conformance, RisesStrictlyWhereTheTableSaysSoAndOnlyThere) {
  RandomStream random(47, 0);
  bool ever_flat = false;
  for (int trial = 0; trial < 20'000; ++trial) {
    ever_flat = ever_flat || !(reweighting::weight_slope(row(), 60.0 * random.uniform() - 30.0) > 0.0);
  }
  EXPECT_EQ(ever_flat, !row().strictly_rising);
}

TEST_P(Conformance, IsShiftInvariantWhereTheTableSaysSoAndOnlyThere) {
  RandomStream random(48, 0);
  bool ever_moves = false;
  for (int trial = 0; trial < 2000; ++trial) {
    const Vector z = normal(random, 6, 2.0);
    const double shift = 100.0 * random.normal();
    Vector moved = z;
    for (double& score : moved) score += shift;
    const Vector p = reweighted(row(), z);
    const Vector q = reweighted(row(), moved);
    for (int j = 0; j < 6; ++j) {
      // The shifted scores carry a rounding of 1e-16 · 300, which softmax at most halves.
      ever_moves = ever_moves || std::abs(p[j] - q[j]) > 1e-12;
    }
  }
  EXPECT_EQ(ever_moves, !row().shift_invariant);
}

// J(z)ᵀh along a straight line through many signs of z: where it changes most, halving the stretch again and again
// leaves a smooth function no change. Poles, at Σw = 0, are no kinks.
double jump_along(const reweighting::Reweighting& row, const Vector& from, const Vector& to, const Vector& h) {
  const auto slope_at = [&](double t) {
    Vector z(from.size()), dz(from.size());
    double total = 0.0, size = 0.0;
    for (std::size_t j = 0; j < z.size(); ++j) {
      z[j] = from[j] + t * (to[j] - from[j]);
      const double w = reweighting::weight(row, z[j]);
      total += w;
      size += std::abs(w);
    }
    if (row.sums_to_one && std::abs(total) < 1e-2 * size) return Vector(z.size(), kNan);
    reweighting::reweight_vjp(row, z, h, dz);
    return dz;
  };
  const auto change = [&](double a, double b) {
    const Vector x = slope_at(a), y = slope_at(b);
    double most = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      if (std::isnan(x[j] - y[j])) return 0.0;
      most = std::max(most, std::abs(x[j] - y[j]) / (1.0 + std::abs(x[j]) + std::abs(y[j])));
    }
    return most;
  };
  constexpr int kParts = 64;
  double largest = 0.0;
  for (int part = 0; part < kParts; ++part) {
    double a = static_cast<double>(part) / kParts, b = static_cast<double>(part + 1) / kParts;
    for (int halving = 0; halving < 30; ++halving) {
      const double middle = 0.5 * (a + b);
      (change(a, middle) > change(middle, b) ? b : a) = middle;
    }
    largest = std::max(largest, change(a, b));
  }
  return largest;
}

TEST_P(Conformance, IsSmoothWhereTheTableSaysSoAndOnlyThere) {
  RandomStream random(50, 0);
  double largest = 0.0;
  for (int trial = 0; trial < 100; ++trial) {
    largest =
        std::max(largest, jump_along(row(), normal(random, 5, 1.0), normal(random, 5, 1.0), normal(random, 5, 1.0)));
  }
  if (row().smooth) {
    EXPECT_LT(largest, 1e-6);
  } else {
    EXPECT_GT(largest, 1e-2);
  }
}

TEST_P(Conformance, DoesNotDependOnTheOrderOfTokens) {
  RandomStream random(49, 0);
  for (int trial = 0; trial < 200; ++trial) {
    Vector z = normal(random, 8, 1.0);
    for (double& score : z) score += 1.0;
    Vector p = reweighted(row(), z);
    std::reverse(z.begin(), z.end());
    const Vector q = reweighted(row(), z);
    std::reverse(p.begin(), p.end());
    // The sum is taken in another order; z/Σz magnifies that by max|p|.
    double largest = 1.0;
    for (double x : p) largest = std::max(largest, std::abs(x));
    for (int j = 0; j < 8; ++j) EXPECT_NEAR(p[j], q[j], 1e-14 * largest * largest);
  }
}

// --- names ------------------------------------------------------------------------------------------

TEST_P(Conformance, IsFoundByItsNameAndByItsAlias) {
  EXPECT_EQ(&reweighting::find_reweighting(row().name),
            &reweighting::reweightings()[reweighting::reweighting_index(row())]);
  if (!row().alias.empty()) {
    EXPECT_EQ(&reweighting::find_reweighting(row().alias), &row());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Conformance,
                         ::testing::ValuesIn(reweighting::reweightings().begin(), reweighting::reweightings().end()),
                         row_name);

TEST(Table, NamesAndAliasesAreUnique) {
  std::set<std::string_view> names;
  for (const reweighting::Reweighting& row : reweighting::reweightings()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    if (!row.alias.empty()) {
      EXPECT_TRUE(names.insert(row.alias).second) << row.alias;
    }
  }
}

TEST(Table, HoldsTheSixNormalisationsOfTheComparison) {
  const std::vector<std::pair<std::string_view, std::string_view>> expected{
      {"L1", "abs/sum"},      {"L2", "square/sum"}, {"Sum", "identity/sum"},
      {"Softmax", "softmax"}, {"Relu", "relu/sum"}, {"Sigmoid", "sigmoid"}};
  for (const auto& [alias, name] : expected) EXPECT_EQ(reweighting::find_reweighting(alias).name, name);
}

std::string complaint(std::string_view name) {
  try {
    reweighting::find_reweighting(name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Table, AnUnknownNameIsRefusedWithTheNearestOne) {
  EXPECT_NE(complaint("sofmax").find("did you mean \"softmax\"?"), std::string::npos) << complaint("sofmax");
  EXPECT_NE(complaint("elu2/sum").find("did you mean \"elu1/sum\"?"), std::string::npos) << complaint("elu2/sum");
  EXPECT_NE(complaint("").find("known: "), std::string::npos) << complaint("");
}

TEST(Table, ForPeopleHasOneLineARowAndSaysWhatTheRowsSay) {
  const auto table = reweighting::reweighting_table();
  ASSERT_EQ(table.size(), reweighting::reweightings().size() + 1);
  for (std::size_t i = 0; i < reweighting::reweightings().size(); ++i) {
    const reweighting::Reweighting& row = reweighting::reweightings()[i];
    const auto mark = [](bool holds) { return std::string(holds ? "yes" : "no"); };
    ASSERT_EQ(table[i + 1].size(), table[0].size());
    EXPECT_EQ(table[i + 1][0], row.name);
    EXPECT_EQ(table[i + 1][2], mark(row.positive));
    EXPECT_EQ(table[i + 1][5], mark(row.shift_invariant));
    EXPECT_EQ(table[i + 1][6], mark(row.sums_to_one));
    EXPECT_EQ(table[i + 1][7] == "none", row.lipschitz == kInfinity);
  }
}

}  // namespace
}  // namespace polariscope::testing
