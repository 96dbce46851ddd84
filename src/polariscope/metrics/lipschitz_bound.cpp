#include "polariscope/metrics/lipschitz_bound.h"

#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/internal/largest_singular.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

namespace polariscope::metrics {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Index;
using Eigen::VectorXd;

constexpr std::int64_t kMostTokens = 4096;

void check(std::string_view name, std::span<const double> values, std::int64_t rows, std::int64_t columns) {
  if (values.size() != static_cast<std::size_t>(rows * columns)) {
    throw Error("Lipschitz bound: {} has {} numbers, expected {} rows of {}", name, values.size(), rows, columns);
  }
  if (!std::ranges::all_of(values, [](double value) { return std::isfinite(value); })) {
    throw Error("Lipschitz bound: {} holds a number that is not finite", name);
  }
}

Matrix matrix_of(std::span<const double> values, std::int64_t rows, std::int64_t columns) {
  return Eigen::Map<const Matrix>(values.data(), rows, columns);
}

// The linear maps of (9) at one X, with their adjoints.
class Linearised {
 public:
  explicit Linearised(const SoftmaxLayer& layer) : x_(matrix_of(layer.x, layer.tokens, layer.width)) {
    const Matrix query = matrix_of(layer.query, layer.width, layer.head_width);
    const Matrix key = matrix_of(layer.key, layer.width, layer.head_width);
    const Matrix m = layer.scale * query * key.transpose();
    to_query_ = x_ * m.transpose();  // row j: M x_j
    to_key_ = x_ * m;                // row i: Mᵀ x_i
    p_ = to_key_ * x_.transpose();
    // Scores are of the units of M: sizes that the square of a square would not hold are divided out, by a power of
    // two.
    const double largest = std::max(to_query_.cwiseAbs().maxCoeff(), to_key_.cwiseAbs().maxCoeff());
    if (largest > 0.0 && std::isfinite(largest)) unit_ = std::exp2(std::ilogb(largest));
    to_query_ /= unit_;
    to_key_ /= unit_;
    if (!p_.allFinite()) throw Error("Lipschitz bound: the scores are beyond the largest double: give smaller weights");
    for (Index i = 0; i < p_.rows(); ++i) {
      p_.row(i) = (p_.row(i).array() - p_.row(i).maxCoeff()).exp();
      p_.row(i) /= p_.row(i).sum();
    }
  }

  const Matrix& x() const { return x_; }
  const Matrix& p() const { return p_; }
  // Of M's rows and columns below, and of what scores() gives.
  double unit() const { return unit_; }
  const Matrix& to_query() const { return to_query_; }
  const Matrix& to_key() const { return to_key_; }

  Matrix scores(const Matrix& h) const { return h * to_query_.transpose() + to_key_ * h.transpose(); }
  Matrix scores_adjoint(const Matrix& g) const { return g * to_query_ + g.transpose() * to_key_; }
  Matrix output(const Matrix& h) const { return through_softmax(unit_ * scores(h)) * x_ + p_ * h; }
  Matrix output_adjoint(const Matrix& g) const {
    return scores_adjoint(unit_ * through_softmax(g * x_.transpose())) + p_.transpose() * g;
  }

 private:
  // dp_i = (diag p_i - p_i p_iᵀ) dz_i, which is its own adjoint.
  Matrix through_softmax(const Matrix& dz) const {
    const Matrix weighted = p_.cwiseProduct(dz);
    return weighted - (p_.array().colwise() * weighted.rowwise().sum().array()).matrix();
  }

  Matrix x_, p_, to_query_, to_key_;
  double unit_ = 1.0;
};

// σ_max of a map of [rows, columns] matrices, given the map followed by its adjoint.
template <class Gram>
LargestSingular largest_of(Index rows, Index columns, const Gram& gram) {
  return largest_singular(rows * columns, [&](const VectorXd& vector) {
    const Matrix image = gram(Matrix(Eigen::Map<const Matrix>(vector.data(), rows, columns)));
    return VectorXd(Eigen::Map<const VectorXd>(image.data(), image.size()));
  });
}

// ‖DZ_X‖_{F,(2,∞)} by alternation. The norm is the largest over choices j(i) of one key a row of the σ_max of
// H -> (DZ(H)_{i,j(i)})_i. For a choice, the best H is a singular vector; for an H, the best choice is each row's
// largest entry. Neither step lowers the value, so it ends in a local maximum.
class ScoreGrowth {
 public:
  explicit ScoreGrowth(const Linearised& at)
      : at_(at),
        query_query_(at.to_query() * at.to_query().transpose()),
        key_key_(at.to_key() * at.to_key().transpose()),
        query_key_(at.to_query() * at.to_key().transpose()) {}

  double climb(std::vector<Index> choice) const {
    double value = 0.0;
    for (;;) {
      const auto [next, h] = best_direction(choice);
      if (!(next > value * (1.0 + 1e-10))) return std::max(value, next);
      value = next;
      choice = best_choice(h);
    }
  }
  std::vector<Index> best_choice(const Matrix& h) const {
    const Matrix dz = at_.scores(h);
    std::vector<Index> choice(static_cast<std::size_t>(dz.rows()));
    for (Index i = 0; i < dz.rows(); ++i) dz.row(i).cwiseAbs().maxCoeff(&choice[static_cast<std::size_t>(i)]);
    return choice;
  }

 private:
  struct Direction {
    double value;
    Matrix h;
  };
  // Z_{i,j} has the gradient (M x_j) in row i and (Mᵀ x_i) in row j of H; their inner products are the Gram matrix.
  Direction best_direction(const std::vector<Index>& choice) const {
    const Index n = at_.x().rows();
    const auto key = [&](Index i) { return choice[static_cast<std::size_t>(i)]; };
    Matrix gram = Matrix::Zero(n, n);
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k < n; ++k) {
        if (i == k) gram(i, k) += query_query_(key(i), key(k));
        if (i == key(k)) gram(i, k) += query_key_(key(i), k);
        if (key(i) == k) gram(i, k) += query_key_(key(k), i);
        if (key(i) == key(k)) gram(i, k) += key_key_(i, k);
      }
    }
    const LargestSingular top = largest_singular(n, [&](const VectorXd& v) { return VectorXd(gram * v); });
    Matrix h = Matrix::Zero(n, at_.x().cols());
    for (Index i = 0; i < n; ++i) {
      h.row(i) += top.vector[i] * at_.to_query().row(key(i));
      h.row(key(i)) += top.vector[i] * at_.to_key().row(i);
    }
    return {top.value, std::move(h)};
  }

  const Linearised& at_;
  Matrix query_query_, key_key_, query_key_;
};

double score_growth(const Linearised& at, const VectorXd& steepest, int restarts) {
  const Index n = at.x().rows(), width = at.x().cols();
  const ScoreGrowth growth(at);
  double best = growth.climb(growth.best_choice(Eigen::Map<const Matrix>(steepest.data(), n, width)));
  Index longest = 0;  // every row the same key, the one with the largest gradient
  at.to_query().rowwise().norm().maxCoeff(&longest);
  best = std::max(best, growth.climb(std::vector<Index>(static_cast<std::size_t>(n), longest)));
  for (int restart = 0; restart < restarts; ++restart) {
    RandomStream random(static_cast<std::uint64_t>(restart), 0);
    std::vector<Index> choice(static_cast<std::size_t>(n));
    for (Index& key : choice) key = static_cast<Index>(random.below(static_cast<std::uint64_t>(n)));
    best = std::max(best, growth.climb(std::move(choice)));
  }
  return best;
}

}  // namespace

void validate(const SoftmaxLayer& layer) {
  if (std::min({layer.tokens, layer.width, layer.head_width}) < 1 || layer.tokens > kMostTokens) {
    throw Error("Lipschitz bound: {} tokens of width {}, head width {}: each must be at least 1, tokens at most {}",
                layer.tokens, layer.width, layer.head_width, kMostTokens);
  }
  check("X", layer.x, layer.tokens, layer.width);
  check("W_Q", layer.query, layer.width, layer.head_width);
  check("W_K", layer.key, layer.width, layer.head_width);
  if (!std::isfinite(layer.scale)) throw Error("Lipschitz bound: the scale is {}: it must be finite", layer.scale);
}

double LipschitzBound::printed_second() const { return std::numbers::sqrt2 * largest_token * score_growth; }
double LipschitzBound::provable_second() const { return largest_token * score_singular / std::numbers::sqrt2; }
double LipschitzBound::printed() const { return frobenius_norm + printed_second(); }
double LipschitzBound::provable() const { return spectral_norm + provable_second(); }

LipschitzBound lipschitz_bound(const SoftmaxLayer& layer, int restarts) {
  validate(layer);
  const Linearised at(layer);
  const Matrix& p = at.p();
  const Index n = layer.tokens;
  const LargestSingular steepest =
      largest_of(n, layer.width, [&](const Matrix& h) { return at.scores_adjoint(at.scores(h)); });
  const AttentionMap<double> map{
      .values = {p.data(), static_cast<std::size_t>(p.size())}, .samples = 1, .heads = 1, .queries = n, .keys = n};
  const LipschitzBound bound{
      .left = largest_of(n, layer.width, [&](const Matrix& h) { return at.output_adjoint(at.output(h)); }).value,
      .frobenius_norm = p.norm(),
      .spectral_norm = largest_singular(n, [&](const VectorXd& v) { return VectorXd(p.transpose() * (p * v)); }).value,
      .largest_token = at.x().rowwise().stableNorm().maxCoeff(),
      .score_growth = at.unit() * score_growth(at, steepest.vector, restarts),
      .score_singular = at.unit() * steepest.value,
      .entropy = entropy(map).front().value()};
  if (!std::isfinite(bound.left + bound.printed() + bound.provable())) {
    throw Error("Lipschitz bound: it is beyond the largest double: give smaller weights or tokens");
  }
  return bound;
}

std::vector<double> attention_derivative(const SoftmaxLayer& layer, std::span<const double> direction) {
  validate(layer);
  check("the direction", direction, layer.tokens, layer.width);
  const Matrix derivative = Linearised(layer).output(matrix_of(direction, layer.tokens, layer.width));
  return {derivative.data(), derivative.data() + derivative.size()};
}

}  // namespace polariscope::metrics
