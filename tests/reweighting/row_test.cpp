// Vector-Jacobian products and Lipschitz constants of every row of the table.
#include "polariscope/reweighting/row-inl.h"
#include "polariscope/reweighting/scalar_packet-inl.h"
#include "rows.h"

#include <Eigen/SVD>

#include <array>

namespace polariscope::testing {
namespace {

// Σ h·p(z) by what reweight() says.
double pulled(const reweighting::Reweighting& row, const Vector& z, const Vector& h) {
  const Vector p = reweighted(row, z);
  return std::inner_product(p.begin(), p.end(), h.begin(), 0.0);
}

// ∂(h·p)/∂z_j by central differences of order 8. The step leaves an error of 4e-15 times the ninth
// derivative / 630 and rounding of 1e-14 times |h·p|.
double difference(const reweighting::Reweighting& row, const Vector& z, const Vector& h, int j) {
  constexpr double kStep = 0x1p-6;
  constexpr std::array<double, 4> kWeights{4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};
  double slope = 0.0;
  for (int n = 1; n <= 4; ++n) {
    Vector ahead = z;
    Vector behind = z;
    ahead[j] += n * kStep;
    behind[j] -= n * kStep;
    slope += kWeights[n - 1] * (pulled(row, ahead, h) - pulled(row, behind, h)) / kStep;
  }
  return slope;
}

// Whether f and the normaliser are smooth within 4 steps around z: off the kinks at z = 0 and
// |Σz| = 1, and off the pole at Σw = 0.
bool smooth_around(const reweighting::Reweighting& row, const Vector& z) {
  constexpr double kReach = 0.1;
  for (double score : z) {
    if (std::abs(score) < kReach) return false;
  }
  double total = 0.0;
  for (double score : z) total += reweighting::weight(row, score);
  if (row.name == "identity/max1") return std::abs(std::abs(total) - 1.0) > kReach;
  return !row.sums_to_one || row.shift_invariant || std::abs(total) > 1.0 || (row.positive && row.strictly_rising);
}

// Whatever f is: no row of the table has a sink of another function than e^z.
TEST(Row, OfASinkDividesByWhatTheSinkWeighsToo) {
  using namespace reweighting::HWY_NAMESPACE;  // NOLINT(google-build-using-namespace)
  const Vector z{0.5, -1.0, 2.0};
  const auto expect_sink = [&]<class Function>(double weight_of_zero) {
    Vector w(3), p(3);
    Row<Function, reweighting::Normaliser::kSumAndSink, ScalarPacket>::forward(ScalarPacket{}, 3, z.data(), w.data(),
                                                                               p.data());
    double n = weight_of_zero;
    for (double score : z) n += Function::weight(ScalarPacket{}, score);
    for (int j = 0; j < 3; ++j) EXPECT_NEAR(p[j], Function::weight(ScalarPacket{}, z[j]) / n, 1e-15);
  };
  expect_sink.operator()<ExpFunction>(1.0);
  expect_sink.operator()<SigmoidFunction>(0.5);
  expect_sink.operator()<SquareFunction>(0.0);
}

class RowOfTheTable : public EveryRow {};
class LipschitzRow : public EveryRow {};  // those with a finite constant
class UnboundedRow : public EveryRow {};  // the others

std::vector<reweighting::Reweighting> rows_with_a_constant(bool finite) {
  std::vector<reweighting::Reweighting> rows;
  for (const reweighting::Reweighting& row : reweighting::reweightings()) {
    if (std::isfinite(row.lipschitz) == finite) rows.push_back(row);
  }
  return rows;
}

TEST_P(RowOfTheTable, TheVectorJacobianProductIsTheDerivativeOfReweight) {
  constexpr std::uint64_t kSeed = 31;
  RandomStream random(kSeed, 0);
  int tried = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    const int tokens = 1 + static_cast<int>(random.below(9));
    Vector z = normal(random, tokens, trial % 2 == 0 ? 1.0 : 2.0);
    const double offset = 2.0 * random.normal();
    for (double& score : z) score += offset;
    const Vector h = normal(random, tokens, 1.0);
    if (!smooth_around(row(), z)) continue;
    ++tried;
    Vector dz(tokens);
    reweighting::reweight_vjp(row(), z, h, dz);
    double largest = 1.0;
    for (double x : reweighted(row(), z)) largest = std::max(largest, std::abs(x));
    for (int j = 0; j < tokens; ++j) {
      EXPECT_NEAR(dz[j], difference(row(), z, h, j), 1e-10 * largest * largest)
          << "seed " << kSeed << ", trial " << trial;
    }
  }
  EXPECT_GT(tried, 300);
}

TEST_P(RowOfTheTable, TheVectorJacobianProductIsLinearInTheUpstreamGradient) {
  RandomStream random(32, 0);
  const Vector z = normal(random, 6, 1.5);
  const Vector h = normal(random, 6, 1.0);
  Vector doubled = h;
  for (double& x : doubled) x *= -2.0;
  Vector dz(6);
  Vector dz_doubled(6);
  reweighting::reweight_vjp(row(), z, h, dz);
  reweighting::reweight_vjp(row(), z, doubled, dz_doubled);
  for (int j = 0; j < 6; ++j) EXPECT_EQ(dz_doubled[j], -2.0 * dz[j]);
}

// ‖∂p/∂z‖₂ from the rows eᵢᵀJ of the Jacobian.
double jacobian_norm(const reweighting::Reweighting& row, const Vector& z) {
  const auto n = static_cast<Eigen::Index>(z.size());
  Eigen::MatrixXd jacobian(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    Vector unit(n, 0.0);
    unit[i] = 1.0;
    Vector dz(n);
    reweighting::reweight_vjp(row, z, unit, dz);
    for (Eigen::Index j = 0; j < n; ++j) jacobian(i, j) = dz[j];
  }
  return Eigen::JacobiSVD<Eigen::MatrixXd>(jacobian).singularValues()(0);
}

TEST_P(LipschitzRow, TheJacobianStaysBelowTheLipschitzConstantAndNearlyReachesIt) {
  constexpr std::uint64_t kSeed = 33;
  RandomStream random(kSeed, 0);
  double reached = 0.0;
  for (int trial = 0; trial < 4000; ++trial) {
    const int tokens = 1 + static_cast<int>(random.below(8));
    const double scale = std::pow(10.0, -3.0 + 6.0 * random.uniform());
    Vector z = normal(random, tokens, scale);
    const double offset = 10.0 * random.normal();
    for (double& score : z) score += offset;
    // Every other trial lets two tokens tie, which is where normalised rows are steepest.
    if (trial % 2 == 0 && tokens > 1) z[1] = z[0];
    const double norm = jacobian_norm(row(), z);
    EXPECT_LE(norm, row().lipschitz * (1.0 + 1e-14)) << "seed " << kSeed << ", trial " << trial;  // rounding of the SVD
    reached = std::max(reached, norm);
  }
  EXPECT_GE(reached, 0.9 * row().lipschitz);
}

TEST_P(LipschitzRow, NoTwoRowsOfScoresDifferByMoreThanTheLipschitzConstantAllows) {
  constexpr std::uint64_t kSeed = 34;
  RandomStream random(kSeed, 0);
  for (int trial = 0; trial < 20'000; ++trial) {
    const int tokens = 1 + static_cast<int>(random.below(8));
    const Vector z = normal(random, tokens, std::pow(10.0, -2.0 + 4.0 * random.uniform()));
    Vector other = normal(random, tokens, std::pow(10.0, -2.0 + 4.0 * random.uniform()));
    for (int j = 0; j < tokens; ++j) other[j] += z[j];
    const Vector p = reweighted(row(), z);
    const Vector q = reweighted(row(), other);
    double moved = 0.0;
    double distance = 0.0;
    for (int j = 0; j < tokens; ++j) {
      moved += (p[j] - q[j]) * (p[j] - q[j]);
      distance += (z[j] - other[j]) * (z[j] - other[j]);
    }
    // Rounding of p is 1e-16 of its size, which is at most the scores'.
    EXPECT_LE(std::sqrt(moved), row().lipschitz * std::sqrt(distance) + 1e-12)
        << "seed " << kSeed << ", trial " << trial;
  }
}

TEST_P(UnboundedRow, WithoutALipschitzConstantTheJacobianGrowsWithoutBound) {
  double previous = 1.0;
  for (const double size : {1e2, 1e4, 1e6, 1e8}) {
    // Small scores make a small Σw; opposite large ones make Σz = 1.5 of large terms.
    const double norm =
        std::max(jacobian_norm(row(), {1.0 / size, 0.5 / size}), jacobian_norm(row(), {size + 1.5, -size}));
    EXPECT_GT(norm, 10.0 * previous) << "size " << size;
    previous = norm;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RowOfTheTable,
                         ::testing::ValuesIn(reweighting::reweightings().begin(), reweighting::reweightings().end()),
                         row_name);
INSTANTIATE_TEST_SUITE_P(Table, LipschitzRow, ::testing::ValuesIn(rows_with_a_constant(true)), row_name);
INSTANTIATE_TEST_SUITE_P(Table, UnboundedRow, ::testing::ValuesIn(rows_with_a_constant(false)), row_name);

}  // namespace
}  // namespace polariscope::testing
