#include "polariscope/metrics/dirichlet_rows.h"

#include "maps.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/mean.h"

#include <algorithm>
#include <numeric>

namespace polariscope::testing {
namespace {

struct Sampled {
  metrics::Mean entropy, square_norm;
};

Sampled sampled(double alpha, std::int64_t keys, int rows, std::uint64_t seed) {
  Sampled means;
  std::vector<double> row(keys);
  for (int i = 0; i < rows; ++i) {
    RandomStream random(seed, i);
    metrics::draw_dirichlet_row(random, alpha, row);
    means.entropy.add(metrics::entropy(rows_of(row, keys)).front().value());
    means.square_norm.add(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
  }
  return means;
}

TEST(DirichletRows, ArePositiveSharesThatSumToOne) {
  for (const double alpha : {1e-6, 1e-3, 0.1, 1.0, 50.0}) {
    RandomStream random(3, 0);
    std::vector<double> row(200);
    for (int i = 0; i < 100; ++i) {
      metrics::draw_dirichlet_row(random, alpha, row);
      EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1.0, kRounding) << alpha;
      EXPECT_GE(*std::min_element(row.begin(), row.end()), 0.0) << alpha;
    }
  }
}

TEST(DirichletRows, HaveTheExactMeansOfEntropyAndSquareNorm) {
  constexpr double kErrors = 4.5;  // standard errors: one case in 10^5 would stray further by chance
  constexpr int kRows = 20'000;
  for (const double alpha : {1e-3, 0.1, 1.0, 10.0}) {
    for (const std::int64_t keys : {2, 20, 200}) {
      const Sampled means = sampled(alpha, keys, kRows, 17);
      EXPECT_NEAR(means.entropy.value(), metrics::dirichlet_mean_entropy(alpha, keys),
                  kErrors * means.entropy.standard_deviation() / std::sqrt(kRows))
          << "alpha " << alpha << ", keys " << keys;
      EXPECT_NEAR(means.square_norm.value(), metrics::dirichlet_mean_square_norm(alpha, keys),
                  kErrors * means.square_norm.standard_deviation() / std::sqrt(kRows))
          << "alpha " << alpha << ", keys " << keys;
    }
  }
}

TEST(DirichletRows, OfTwoUniformSharesHaveMeansThatHandsCanCompute) {
  // α = 1, N = 2: p uniform on [0, 1]. E[H] = -2∫p log p = 1/2; E[p² + (1-p)²] = 2/3.
  EXPECT_NEAR(metrics::dirichlet_mean_entropy(1.0, 2), 0.5, kRounding);
  EXPECT_NEAR(metrics::dirichlet_mean_square_norm(1.0, 2), 2.0 / 3.0, kRounding);
  // α = 1: ψ(N+1) - ψ(2) = 1/2 + 1/3 + ... + 1/N.
  EXPECT_NEAR(metrics::dirichlet_mean_entropy(1.0, 5), 1.0 / 2 + 1.0 / 3 + 1.0 / 4 + 1.0 / 5, kRounding);
}

TEST(DirichletRows, TendToOneHotAndToUniform) {
  EXPECT_NEAR(metrics::dirichlet_mean_entropy(1e-9, 100), 0.0, 1e-6);
  EXPECT_NEAR(metrics::dirichlet_mean_square_norm(1e-9, 100), 1.0, 1e-6);
  EXPECT_NEAR(metrics::dirichlet_mean_entropy(1e9, 100), std::log(100.0), 1e-8);
  EXPECT_NEAR(metrics::dirichlet_mean_square_norm(1e9, 100), 0.01, 1e-8);
}

TEST(DirichletRows, RefuseAnAlphaThatIsNotPositive) {
  std::vector<double> row(3);
  RandomStream random(1, 0);
  for (const double alpha : {0.0, -1.0, kNaN, kInfinity}) {
    EXPECT_NE(complaint_of([&] { metrics::draw_dirichlet_row(random, alpha, row); }), "") << alpha;
  }
}

}  // namespace
}  // namespace polariscope::testing
