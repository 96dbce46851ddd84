#include "polariscope/metrics/lipschitz_bound.h"

#include "maps.h"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>

#include <algorithm>
#include <numbers>

namespace polariscope::testing {
namespace {

using Numbers = std::vector<double>;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct RandomLayer {
  Numbers x, query, key;
  std::int64_t tokens, width, head_width;
  metrics::SoftmaxLayer view() const { return {tokens, width, head_width, x, query, key, 1.0}; }
};

// Tokens N(0, 1), weights N(0, sharpness²/width).
RandomLayer random_layer(std::int64_t tokens, std::int64_t width, std::int64_t head_width, double sharpness,
                         std::uint64_t seed) {
  RandomStream random(seed, 0);
  RandomLayer layer{
      Numbers(tokens * width), Numbers(width * head_width), Numbers(width * head_width), tokens, width, head_width};
  random.fill_normal(layer.x, 1.0);
  random.fill_normal(layer.query, sharpness / std::sqrt(static_cast<double>(width)));
  random.fill_normal(layer.key, sharpness / std::sqrt(static_cast<double>(width)));
  return layer;
}

// softmax(scale · X W_Q (X W_K)ᵀ) X, loop by loop.
Numbers attention(const metrics::SoftmaxLayer& layer) {
  const auto row_times = [&](std::int64_t i, std::span<const double> w, std::int64_t h) {
    double sum = 0.0;
    for (std::int64_t d = 0; d < layer.width; ++d) sum += layer.x[i * layer.width + d] * w[d * layer.head_width + h];
    return sum;
  };
  Numbers out(layer.x.size(), 0.0);
  for (std::int64_t i = 0; i < layer.tokens; ++i) {
    Numbers weights;
    for (std::int64_t j = 0; j < layer.tokens; ++j) {
      double score = 0.0;
      for (std::int64_t h = 0; h < layer.head_width; ++h)
        score += row_times(i, layer.query, h) * row_times(j, layer.key, h);
      weights.push_back(layer.scale * score);
    }
    const double top = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (double& weight : weights) sum += weight = std::exp(weight - top);
    for (std::int64_t j = 0; j < layer.tokens; ++j) {
      for (std::int64_t d = 0; d < layer.width; ++d)
        out[i * layer.width + d] += weights[j] / sum * layer.x[j * layer.width + d];
    }
  }
  return out;
}

// Column by column, by central differences.
Matrix jacobian_by_differences(const RandomLayer& layer) {
  constexpr double kStep = 1e-5;  // error about step²
  const auto size = static_cast<Eigen::Index>(layer.x.size());
  Matrix jacobian(size, size);
  for (Eigen::Index c = 0; c < size; ++c) {
    RandomLayer up = layer, down = layer;
    up.x[c] += kStep;
    down.x[c] -= kStep;
    const Numbers above = attention(up.view()), below = attention(down.view());
    for (Eigen::Index r = 0; r < size; ++r) jacobian(r, c) = (above[r] - below[r]) / (2.0 * kStep);
  }
  return jacobian;
}

TEST(LipschitzBound, TheDerivativeAndItsLargestSingularValueAreThoseOfDifferences) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const RandomLayer layer = random_layer(2 + seed % 5, 1 + seed % 4, 1 + seed % 3, 0.3 * (1.0 + seed % 6), seed);
    const Matrix jacobian = jacobian_by_differences(layer);
    for (Eigen::Index c = 0; c < jacobian.cols(); ++c) {
      Numbers direction(layer.x.size(), 0.0);
      direction[c] = 1.0;
      const Numbers column = metrics::attention_derivative(layer.view(), direction);
      for (Eigen::Index r = 0; r < jacobian.rows(); ++r) EXPECT_NEAR(column[r], jacobian(r, c), 1e-7) << seed;
    }
    const double largest = Eigen::JacobiSVD<Matrix>(jacobian).singularValues()[0];
    EXPECT_NEAR(metrics::lipschitz_bound(layer.view()).left, largest, 1e-7 * std::max(1.0, largest)) << "seed " << seed;
  }
}

Matrix unit(std::int64_t rows, std::int64_t columns, std::int64_t place) {
  Matrix h = Matrix::Zero(rows, columns);
  h(place / columns, place % columns) = 1.0;
  return h;
}

double largest_singular_of(const Matrix& map) {
  return std::sqrt(Eigen::SelfAdjointEigenSolver<Matrix>(map.transpose() * map).eigenvalues().maxCoeff());
}

// Both maps as matrices.
double largest_of_scores(const RandomLayer& layer) {
  const std::int64_t n = layer.tokens, d = layer.width;
  const Eigen::Map<const Matrix> x(layer.x.data(), n, d);
  const Matrix m = Eigen::Map<const Matrix>(layer.query.data(), d, layer.head_width) *
                   Eigen::Map<const Matrix>(layer.key.data(), d, layer.head_width).transpose();
  Matrix map(n * n, n * d);
  for (std::int64_t c = 0; c < n * d; ++c) {
    const Matrix dz = unit(n, d, c) * m * x.transpose() + x * m * unit(n, d, c).transpose();
    map.col(c) = Eigen::Map<const Eigen::VectorXd>(dz.data(), n * n);
  }
  return largest_singular_of(map);
}

double largest_of_output(const RandomLayer& layer) {
  const std::int64_t size = layer.tokens * layer.width;
  Matrix map(size, size);
  for (std::int64_t c = 0; c < size; ++c) {
    const Matrix h = unit(layer.tokens, layer.width, c);
    const Numbers column = metrics::attention_derivative(layer.view(), {h.data(), static_cast<std::size_t>(size)});
    map.col(c) = Eigen::Map<const Eigen::VectorXd>(column.data(), size);
  }
  return largest_singular_of(map);
}

TEST(LipschitzBound, HoldsOnHundredsOfRandomLayersFromUniformToCollapsed) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const double sharpness = std::pow(10.0, -2.0 + 0.01 * static_cast<double>(seed));
    const RandomLayer layer = random_layer(1 + seed % 13, 1 + seed % 5, 1 + seed % 4, sharpness, seed);
    const metrics::LipschitzBound bound = metrics::lipschitz_bound(layer.view(), 2);
    const double slack = 1e-9 * bound.provable();
    EXPECT_NEAR(bound.score_singular, largest_of_scores(layer), slack) << "seed " << seed;
    EXPECT_NEAR(bound.left, largest_of_output(layer), 1e-9 * (1.0 + bound.left)) << "seed " << seed;
    EXPECT_LE(bound.left, bound.provable() + slack) << "seed " << seed;
    EXPECT_LE(bound.spectral_norm, bound.frobenius_norm + slack) << "seed " << seed;
    // Of N numbers the largest is at most their norm and at least norm/√N.
    EXPECT_LE(bound.score_growth, bound.score_singular + slack) << "seed " << seed;
    EXPECT_GE(bound.score_growth, bound.score_singular / std::sqrt(layer.tokens) - slack) << "seed " << seed;
  }
}

TEST(LipschitzBound, TheTermOfTheScoresGrowsWithTheSquareOfTheWeightsHoweverLarge) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const double factor : {1e-12, 1e6, 1e12}) {
      RandomLayer layer = random_layer(20, 4, 4, 1.0, seed);
      const metrics::LipschitzBound before = metrics::lipschitz_bound(layer.view(), 2);
      for (double& weight : layer.query) weight *= factor;
      for (double& weight : layer.key) weight *= factor;
      const metrics::LipschitzBound after = metrics::lipschitz_bound(layer.view(), 2);
      EXPECT_NEAR(after.score_singular / (factor * factor * before.score_singular), 1.0, 1e-9) << seed << " " << factor;
      EXPECT_NEAR(after.score_growth / (factor * factor * before.score_growth), 1.0, 1e-6) << seed << " " << factor;
    }
  }
}

TEST(LipschitzBound, TheTermOfTheScoresGrowsWithTheScaleHoweverLarge) {
  RandomLayer layer = random_layer(4, 3, 2, 1.0, 7);
  metrics::SoftmaxLayer scaled = layer.view();
  const metrics::LipschitzBound one = metrics::lipschitz_bound(scaled, 2);
  for (const double scale : {1e-300, 1e-200, 1e-80, 1e80, 1e150, 1e300}) {
    scaled.scale = scale;
    const metrics::LipschitzBound bound = metrics::lipschitz_bound(scaled, 2);
    EXPECT_NEAR(bound.score_singular / scale / one.score_singular, 1.0, 1e-9) << scale;
    EXPECT_NEAR(bound.score_growth / scale / one.score_growth, 1.0, 1e-9) << scale;
    EXPECT_LE(bound.left, bound.provable() * (1.0 + 1e-9)) << scale;
  }
}

TEST(LipschitzBound, OfTokensHoweverLongIsThatOfShortOnes) {
  const RandomLayer layer = random_layer(4, 3, 2, 1.0, 7);
  const metrics::LipschitzBound one = metrics::lipschitz_bound(layer.view(), 2);
  for (const double factor : {1e-150, 1e-70, 1e70, 1e150}) {
    // The scores stay what they are.
    RandomLayer longer = layer;
    for (double& x : longer.x) x *= factor;
    for (double& weight : longer.query) weight /= factor;
    for (double& weight : longer.key) weight /= factor;
    const metrics::LipschitzBound bound = metrics::lipschitz_bound(longer.view(), 2);
    EXPECT_NEAR(bound.left / one.left, 1.0, 1e-9) << factor;
    EXPECT_NEAR(bound.printed() / one.printed(), 1.0, 1e-9) << factor;
    EXPECT_NEAR(bound.provable() / one.provable(), 1.0, 1e-9) << factor;
  }
}

TEST(LipschitzBound, OfOneTokenIsTheIdentity) {
  // P = (1) whatever the scores: A(X) = X.
  const Numbers x{3.0, 4.0}, weights{1.0, 0.0, 0.0, 1.0};
  const metrics::LipschitzBound bound = metrics::lipschitz_bound({1, 2, 2, x, weights, weights});
  EXPECT_NEAR(bound.left, 1.0, 1e-12);
  EXPECT_NEAR(bound.frobenius_norm, 1.0, 1e-12);
  EXPECT_NEAR(bound.spectral_norm, 1.0, 1e-12);
  EXPECT_NEAR(bound.largest_token, 5.0, 1e-12);
  EXPECT_EQ(bound.entropy, 0.0);
  // One score z = ‖x‖²: dz = 2 x·h, so both norms of DZ are 2‖x‖.
  EXPECT_NEAR(bound.score_growth, 10.0, 1e-9);
  EXPECT_NEAR(bound.score_singular, 10.0, 1e-9);
  EXPECT_NEAR(bound.printed(), 1.0 + std::numbers::sqrt2 * 5.0 * 10.0, 1e-8);
  EXPECT_NEAR(bound.provable(), 1.0 + 5.0 * 10.0 / std::numbers::sqrt2, 1e-8);
}

TEST(LipschitzBound, WithoutScoresIsUniformAttention) {
  // W_Q = 0: P = 1/N everywhere, an averaging of norm 1, and nothing moves the scores.
  const Numbers x{1.0, -2.0, 3.0, 0.5}, zero{0.0}, one{1.0};
  const metrics::LipschitzBound bound = metrics::lipschitz_bound({4, 1, 1, x, zero, one});
  EXPECT_NEAR(bound.left, 1.0, 1e-12);
  EXPECT_NEAR(bound.printed(), 1.0, 1e-12);
  EXPECT_NEAR(bound.provable(), 1.0, 1e-12);
  EXPECT_NEAR(bound.entropy, std::log(4.0), 1e-12);
}

TEST(LipschitzBound, OfTwoScalarTokensIsWhatHandsFind) {
  // X = (1, -1)ᵀ, M = 1: z_ij = x_i x_j, DZ(h) = h xᵀ + x hᵀ. With h = (a, b): [[2a, b - a], [b - a, -2b]].
  // ‖DZ‖² = 4a² + 4b² + 2(b - a)² <= 8 over a² + b² = 1, at b = -a. One key a row: best is 4a² + (b - a)², whose
  // matrix [[5, -1], [-1, 1]] has the largest eigenvalue 3 + √5.
  const Numbers x{1.0, -1.0}, one{1.0};
  const metrics::LipschitzBound bound = metrics::lipschitz_bound({2, 1, 1, x, one, one});
  EXPECT_NEAR(bound.score_singular, std::sqrt(8.0), 1e-10);
  EXPECT_NEAR(bound.score_growth, std::sqrt(3.0 + std::sqrt(5.0)), 1e-10);
  // p = e/(e + 1/e) on the diagonal.
  const double p = 1.0 / (1.0 + std::exp(-2.0));
  EXPECT_NEAR(bound.frobenius_norm, std::sqrt(2.0 * (p * p + (1.0 - p) * (1.0 - p))), 1e-12);
  EXPECT_NEAR(bound.spectral_norm, 1.0, 1e-12);
}

TEST(LipschitzBound, TheAlternationFindsTheBestChoiceOfKeys) {
  // All 3³ choices of one key a row, each by a dense singular value.
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const RandomLayer layer = random_layer(3, 2, 2, 1.0, seed);
    const Eigen::Map<const Matrix> x(layer.x.data(), 3, 2), query(layer.query.data(), 2, 2),
        key(layer.key.data(), 2, 2);
    const Matrix m = query * key.transpose();
    double best = 0.0;
    for (int choice = 0; choice < 27; ++choice) {
      const int keys[3] = {choice % 3, choice / 3 % 3, choice / 9};
      Matrix map(3, 6);
      for (int c = 0; c < 6; ++c) {
        const Matrix h = unit(3, 2, c);
        const Matrix dz = h * m * x.transpose() + x * m * h.transpose();
        for (int i = 0; i < 3; ++i) map(i, c) = dz(i, keys[i]);
      }
      best = std::max(best, Eigen::JacobiSVD<Matrix>(map).singularValues()[0]);
    }
    EXPECT_NEAR(metrics::lipschitz_bound(layer.view()).score_growth, best, 1e-9 * best) << "seed " << seed;
  }
}

TEST(LipschitzBound, TakesTheScaleIntoTheScores) {
  RandomLayer layer = random_layer(5, 3, 2, 1.0, 7);
  metrics::SoftmaxLayer scaled = layer.view();
  scaled.scale = 0.25;
  const metrics::LipschitzBound bound = metrics::lipschitz_bound(scaled);
  for (double& weight : layer.query) weight *= 0.25;
  const metrics::LipschitzBound same = metrics::lipschitz_bound(layer.view());
  EXPECT_NEAR(bound.left, same.left, 1e-10);
  EXPECT_NEAR(bound.printed(), same.printed(), 1e-10);
  EXPECT_NEAR(bound.provable(), same.provable(), 1e-10);
}

TEST(LipschitzBound, RefusesShapesThatDisagreeAndNumbersThatAreNotFinite) {
  const Numbers x{1.0, 2.0}, one{1.0}, broken{kNaN}, huge{1e200};
  EXPECT_EQ(complaint_of([&] {
              metrics::lipschitz_bound({2, 1, 1, x, one, x});
            }),
            "Lipschitz bound: W_K has 2 numbers, expected 1 rows of 1");
  EXPECT_EQ(complaint_of([&] {
              metrics::lipschitz_bound({2, 1, 1, x, broken, one});
            }),
            "Lipschitz bound: W_Q holds a number that is not finite");
  EXPECT_NE(complaint_of([&] { metrics::lipschitz_bound({0, 1, 1, {}, one, one}); }), "");
  EXPECT_NE(complaint_of([&] { metrics::lipschitz_bound({2, 1, 1, x, huge, huge}); }), "");
}

}  // namespace
}  // namespace polariscope::testing
