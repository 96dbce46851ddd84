// The gradient of L(V σ(a)) and its relatives, for any packet. Equations: docs/flow.md, section 2.

#if defined(POLARISCOPE_FLOW_FIELD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_FLOW_FIELD_INL_H_
#undef POLARISCOPE_FLOW_FIELD_INL_H_
#else
#define POLARISCOPE_FLOW_FIELD_INL_H_
#endif

#include "polariscope/flow/internal/field_arrays.h"
#include "polariscope/flow/internal/packets-inl.h"
#include "polariscope/reweighting/row-inl.h"
#include "polariscope/reweighting/table-inl.h"

#include <array>

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class Packet>
class Field {
 public:
  using Real = typename Packet::Real;
  using WholeMath = typename Packet::Whole;
  using Whole = typename WholeMath::Real;
  using Scale = RowScale<Whole>;

  explicit Field(const FieldViews& views) : f_(views), row_(kRows[views.reweighting]) {}

  // One step of gradient descent.
  template <Model kModel, Loss kLoss>
  HWY_INLINE void step(Whole size) {
    const Whole norm = evaluate<kModel, kLoss, false>(math_.constant(0.0));
    const Whole minus = math_.negate(size);
    for (int t = 0; t < f_.rows; ++t) {
      const double* g = f_.gradient + packet_.offset(t * f_.output_stride);
      const double* p = f_.sigma + packet_.offset(t * f_.stride);
      double* a = f_.scores + packet_.offset(t * f_.stride);
      const double* da = f_.score_gradient + packet_.offset(t * f_.stride);
      if constexpr (kModel == Model::kReduced) {
        // V moves by -g_z β pᵀ, so u = Vᵀβ moves by -g_z ‖β‖² p.
        add_scaled(minus * packet_.load_one(g, 0) * packet_.load_one(f_.beta_square, 0), p, f_.projections);
      } else {
        add_outer(minus, g, p, f_.values);
        if constexpr (kModel == Model::kTied) add_outer(minus, da, a, f_.values);
      }
      add_scaled(minus, kModel == Model::kTied ? f_.pull : da, a);
    }
    packet_.store_one(math_.multiply_add(size, norm, packet_.load_one(f_.strength, 0)), f_.strength, 0);
  }

  // Fills p, g and the score gradient at the current state, scaled by e^log_scale; returns ‖∇L‖ so
  // scaled, summed over rows. Tied: `score_gradient` is ∂L/∂z and `pull` is ∂L/∂a.
  template <Model kModel, Loss kLoss, bool kScaled>
  HWY_INLINE Whole evaluate(Whole log_scale) {
    Whole norm = math_.constant(0.0);
    for (int t = 0; t < f_.rows; ++t) {
      const double* z = f_.scores + packet_.offset(t * f_.stride);
      double* p = f_.sigma + packet_.offset(t * f_.stride);
      double* g = f_.gradient + packet_.offset(t * f_.output_stride);
      double* dz = f_.score_gradient + packet_.offset(t * f_.stride);
      if constexpr (kModel == Model::kTied) {
        multiply(f_.values, f_.outputs, f_.tokens, f_.stride, z, f_.inner);
        z = f_.inner;
      }
      Scale scale;
      row_.forward(f_.tokens, z, f_.weights, p, scale);
      if constexpr (kModel == Model::kReduced) {
        norm = norm + reduced_pull<kLoss, kScaled>(p, g, log_scale);
      } else {
        multiply(f_.values, f_.outputs, f_.tokens, f_.stride, p, f_.prediction);
        norm = norm + loss_gradient<kLoss, kScaled>(g, log_scale);
        multiply_transposed(f_.values, f_.outputs, f_.tokens, f_.stride, g, f_.pull);
      }
      row_.backward(f_.tokens, z, f_.weights, p, scale, f_.pull, dz);
      if constexpr (kModel == Model::kTied) {
        multiply_transposed(f_.values, f_.outputs, f_.tokens, f_.stride, dz, f_.pull);
      }
    }
    return norm;
  }

 private:
  // sigmoid(-z), or e^log_scale sigmoid(-z) = exp(log_scale - softplus(z)) as one exponential: at
  // t = 1e299 the factors are 1e299 and 1e-299.
  template <bool kScaled>
  HWY_INLINE Whole logistic_strength(Whole z, Whole log_scale) const {
    const Whole zero = math_.constant(0.0);
    const Whole one = math_.constant(1.0);
    if constexpr (kScaled) {
      const Whole tail = math_.log1p(math_.exp(math_.negate(math_.abs(z))));
      return math_.exp(log_scale - (math_.select(math_.less(z, zero), zero, z) + tail));
    } else {
      return one / (one + math_.exp(z));
    }
  }

  // g = ∂L/∂b from b; returns its norm.
  template <Loss kLoss, bool kScaled>
  HWY_INLINE Whole loss_gradient(double* g, Whole log_scale) {
    const double* b = f_.prediction;
    const int packets = packet_.count(f_.outputs);
    if constexpr (kLoss == Loss::kLogistic) {
      const Whole strength = logistic_strength<kScaled>(dot(f_.beta, b, f_.outputs), log_scale);
      const Real minus = packet_.spread(math_.negate(strength));
      for (int i = 0; i < packets; ++i) packet_.store(minus * packet_.load(f_.beta, i), g, i);
      return strength * math_.sqrt(packet_.load_one(f_.beta_square, 0));
    } else {
      if constexpr (kLoss == Loss::kSquare) {
        for (int i = 0; i < packets; ++i) packet_.store(packet_.load(b, i) - packet_.load(f_.beta, i), g, i);
      } else if constexpr (kLoss == Loss::kLeastSquares) {
        // g = 2Xᵀ(Xb - β)
        // By Xᵀ rather than X: no sums over lanes, and no whole packets read just after their single numbers.
        multiply_transposed(f_.design_transposed, f_.outputs, f_.samples, f_.sample_stride, b, f_.residual);
        const Real two = packet_.constant(2.0);
        for (int i = 0; i < packet_.count(f_.samples); ++i) {
          packet_.store(two * (packet_.load(f_.residual, i) - packet_.load(f_.beta, i)), f_.residual, i);
        }
        multiply_transposed(f_.design, f_.samples, f_.outputs, f_.output_stride, f_.residual, g);
      } else {
        // g = softmax(b) - p*
        Row<ExpFunction, reweighting::Normaliser::kSum, Packet>::forward(packet_, f_.outputs, b, g, g);
        for (int i = 0; i < packets; ++i) packet_.store(packet_.load(g, i) - packet_.load(f_.target, i), g, i);
      }
      const Whole norm = math_.sqrt(dot(g, g, f_.outputs));
      if constexpr (!kScaled) return norm;
      // Scaled last: the square of e^log_scale would overflow.
      const Whole scale = math_.exp(log_scale);
      const Real spread = packet_.spread(scale);
      for (int i = 0; i < packets; ++i) packet_.store(spread * packet_.load(g, i), g, i);
      return norm * scale;
    }
  }

  // The reduced model: with ∇L = g_z β and score z = u·p, h = g_z u. Writes g_z to g[0]; returns ‖∇L‖.
  template <Loss kLoss, bool kScaled>
  HWY_INLINE Whole reduced_pull(const double* p, double* g, Whole log_scale) {
    const Whole z = dot(f_.projections, p, f_.tokens);
    const Whole beta_square = packet_.load_one(f_.beta_square, 0);
    Whole strength;
    if constexpr (kLoss == Loss::kLogistic) {
      strength = logistic_strength<kScaled>(z, log_scale);
    } else {
      strength = math_.constant(1.0) - z / beta_square;
      if constexpr (kScaled) strength = strength * math_.exp(log_scale);
    }
    const Whole slope = math_.negate(strength);
    packet_.store_one(slope, g, 0);
    const Real spread = packet_.spread(slope);
    for (int i = 0; i < packet_.count(f_.tokens); ++i) {
      packet_.store(spread * packet_.load(f_.projections, i), f_.pull, i);
    }
    return math_.abs(strength) * math_.sqrt(beta_square);
  }

  HWY_INLINE Whole dot(const double* x, const double* y, int n) const {
    Real sum = packet_.constant(0.0);
    for (int i = 0; i < packet_.count(n); ++i) {
      sum = packet_.multiply_add(packet_.load(x, i), packet_.load(y, i), sum);
    }
    return packet_.row_sum(sum);
  }

  // y = M x, M is [rows, columns].
  HWY_INLINE void multiply(const double* m, int rows, int columns, int stride, const double* x, double* y) const {
    for (int r = 0; r < rows; ++r) packet_.store_one(dot(m + packet_.offset(r * stride), x, columns), y, r);
  }

  // y = Mᵀ x. Four sums at a time: a single one would wait for each of its additions.
  HWY_INLINE void multiply_transposed(const double* m, int rows, int columns, int stride, const double* x,
                                      double* y) const {
    for (int i = 0; i < packet_.count(columns); ++i) {
      const auto term = [&](int r, Real sum) HWY_ATTR {
        const Real x_r = packet_.spread(packet_.load_one(x, r));
        return packet_.multiply_add(x_r, packet_.load(m + packet_.offset(r * stride), i), sum);
      };
      Real s0 = packet_.constant(0.0), s1 = s0, s2 = s0, s3 = s0;
      int r = 0;
      for (; r + 4 <= rows; r += 4) {
        s0 = term(r, s0);
        s1 = term(r + 1, s1);
        s2 = term(r + 2, s2);
        s3 = term(r + 3, s3);
      }
      for (; r < rows; ++r) s0 = term(r, s0);
      packet_.store((s0 + s1) + (s2 + s3), y, i);
    }
  }

  // y += factor x, [tokens].
  HWY_INLINE void add_scaled(Whole factor, const double* x, double* y) const {
    const Real spread = packet_.spread(factor);
    for (int i = 0; i < packet_.count(f_.tokens); ++i) {
      packet_.store(packet_.multiply_add(spread, packet_.load(x, i), packet_.load(y, i)), y, i);
    }
  }

  // M += factor x yᵀ, M is [outputs, tokens].
  HWY_INLINE void add_outer(Whole factor, const double* x, const double* y, double* m) const {
    for (int r = 0; r < f_.outputs; ++r) {
      const Real scaled = packet_.spread(factor * packet_.load_one(x, r));
      double* row = m + packet_.offset(r * f_.stride);
      for (int i = 0; i < packet_.count(f_.tokens); ++i) {
        packet_.store(packet_.multiply_add(scaled, packet_.load(y, i), packet_.load(row, i)), row, i);
      }
    }
  }

  // The re-weighting function is called by pointer, one a row: cheap beside the row's exponentials,
  // and the models and losses need not be compiled once for each.
  struct RowFunctions {
    void (*forward)(int, const double*, double*, double*, Scale&);
    void (*backward)(int, const double*, const double*, const double*, const Scale&, const double*, double*);
  };
  template <class RowType>
  static void row_forward(int tokens, const double* z, double* w, double* p, Scale& scale) {
    scale = Row<typename RowType::Function, RowType::kNormaliser, Packet>::forward(Packet(), tokens, z, w, p);
  }
  template <class RowType>
  static void row_backward(int tokens, const double* z, const double* w, const double* p, const Scale& scale,
                           const double* h, double* dz) {
    Row<typename RowType::Function, RowType::kNormaliser, Packet>::backward(Packet(), tokens, z, w, p, scale, h, dz);
  }
  static constexpr auto kRows = std::apply(
      [](auto... row) {
        return std::array<RowFunctions, sizeof...(row)>{
            RowFunctions{&row_forward<decltype(row)>, &row_backward<decltype(row)>}...};
      },
      kTable);

  Packet packet_;
  WholeMath math_;
  FieldViews f_;
  RowFunctions row_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_FIELD_INL_H_
