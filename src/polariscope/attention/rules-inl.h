// The rules that make p of a whole row of scores at once. Each is prepared from a column of all its scores,
// then gives p of a score, and of its gradient the three factors of
//
//   dz_j = direct_j g_j - spread_j κ,   κ = Σ pull_j g_j / Σ share_j
//
// where `share` is what κ is a mean over (or 1 in all, where κ is a sum).

#if defined(POLARISCOPE_ATTENTION_RULES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_RULES_INL_H_
#undef POLARISCOPE_ATTENTION_RULES_INL_H_
#else
#define POLARISCOPE_ATTENTION_RULES_INL_H_
#endif

#include "polariscope/attention/internal/weigh-inl.h"
#include "polariscope/reweighting/attention_form.h"

#include <array>
#include <cstddef>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Σ of f(z) over the visible keys.
template <class D, class Term, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> sum_over(D d, Column<T> scores, const Term& term) {
  hn::Vec<D> sum = hn::Zero(d);
  for (int j = 0; j < scores.keys; ++j) {
    const hn::Vec<D> z = hn::Load(d, scores.data + j * scores.stride);
    sum = hn::Add(sum, kept<true>(d, z, term(z)));
  }
  return sum;
}

// p = clip(u, 0, 1), u = (ζ - γ) softmax(z) + γ: the slope is that of u where nothing is clipped.
template <class D>
class ClippedSoftmax {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kMean = false;
  HWY_INLINE ClippedSoftmax(const reweighting::AttentionForm& form, Column<T> scores)
      : gamma_(hn::Set(D(), static_cast<T>(form.gamma))), range_(hn::Set(D(), static_cast<T>(form.zeta - form.gamma))) {
    shift_ = hn::Max(summary<true>(D(), scores).largest, hn::Set(D(), kLowest<T>));
    inverse_ = hn::Set(D(), 1);
    const V sum = sum_over(D(), scores, [&](V z) HWY_ATTR { return soft(z); });
    inverse_ = hn::Div(hn::Set(D(), 1), sum);
  }
  HWY_INLINE V p(V z) const { return hn::Clamp(u(z), hn::Zero(D()), hn::Set(D(), 1)); }
  HWY_INLINE V direct(V z) const { return hn::IfThenElseZero(free(z), hn::Mul(range_, soft(z))); }
  HWY_INLINE V pull(V z) const { return direct(z); }
  HWY_INLINE V spread(V z) const { return soft(z); }
  static constexpr std::array kParameters{&SharedDue::gamma, &SharedDue::zeta};
  void prepare_parameters(Column<T>) {}
  HWY_INLINE V parameter_slope(std::size_t n, V z) const {
    const V part = hn::Div(direct(z), range_);  // softmax where nothing is clipped
    return n == 0 ? hn::IfThenElseZero(free(z), hn::Sub(hn::Set(D(), 1), part)) : part;
  }

 private:
  HWY_INLINE V soft(V z) const { return hn::Mul(exp_below(D(), hn::Sub(z, shift_)), inverse_); }
  HWY_INLINE V u(V z) const { return hn::MulAdd(range_, soft(z), gamma_); }
  HWY_INLINE hn::Mask<D> free(V z) const {
    const V at = u(z);
    return hn::And(hn::Lt(hn::Zero(D()), at), hn::Lt(at, hn::Set(D(), 1)));
  }
  V gamma_, range_, shift_, inverse_;
};

// p = max(e, 0)/n, e = e^z - 1, n = Σ|e| + ε: dz = e^z ([e > 0] g - sign(e) Σ g p)/n. All are lowered by
// m = max(z, 0) together, so that nothing overflows.
template <class D>
class Softpick {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kMean = false;
  HWY_INLINE Softpick(const reweighting::AttentionForm& form, Column<T> scores) {
    const D d;
    shift_ = hn::Max(summary<true>(d, scores).largest, hn::Zero(d));
    one_ = exp_below(d, hn::Neg(shift_));
    const V sum = sum_over(d, scores, [&](V z) HWY_ATTR { return hn::Abs(excess(z)); });
    inverse_ = hn::Div(hn::Set(d, 1), hn::MulAdd(hn::Set(d, static_cast<T>(form.epsilon)), one_, sum));
  }
  HWY_INLINE V p(V z) const { return hn::Mul(hn::Max(excess(z), hn::Zero(D())), inverse_); }
  HWY_INLINE V direct(V z) const { return hn::IfThenElseZero(hn::Gt(z, hn::Zero(D())), slope(z)); }
  HWY_INLINE V pull(V z) const { return p(z); }
  HWY_INLINE V spread(V z) const { return hn::IfThenElseZero(hn::Ne(z, hn::Zero(D())), hn::CopySign(slope(z), z)); }
  static constexpr std::array kParameters{&SharedDue::epsilon};
  void prepare_parameters(Column<T>) {}
  HWY_INLINE V parameter_slope(std::size_t, V z) const { return hn::Neg(hn::Mul(p(z), hn::Mul(one_, inverse_))); }

 private:
  // (e^z - 1) e^-m; near zero by expm1, which does not cancel.
  HWY_INLINE V excess(V z) const {
    const D d;
    const auto small = hn::Lt(hn::Abs(z), hn::Set(d, 1));
    const V near = hn::Mul(one_, hn::Expm1(d, hn::IfThenElseZero(small, z)));
    return hn::IfThenElse(small, near, hn::Sub(exp_below(d, hn::Sub(z, shift_)), one_));
  }
  HWY_INLINE V slope(V z) const { return hn::Mul(exp_below(D(), hn::Sub(z, shift_)), inverse_); }
  V shift_, one_, inverse_;
};

// p = max(x - τ, 0)^k, x = (α - 1)(z - max z), k = 1/(α - 1); sparsemax is α = 2. f(τ) = Σ p - 1 falls from at
// least 0 at τ = -1. For k >= 1 it is convex: Newton's steps rise to the root and never pass it. For k < 1 it is
// halved. On the support dz = s (g - Σ s g/Σ s), s = p^{2 - α}.
template <class D>
class Entmax {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kMean = true;
  HWY_INLINE Entmax(const reweighting::AttentionForm& form, Column<T> scores) {
    const D d;
    const double alpha = form.rule == reweighting::RowRule::kSparsemax ? 2.0 : form.alpha;
    factor_ = hn::Set(d, static_cast<T>(alpha - 1.0));
    power_ = static_cast<T>(1.0 / (alpha - 1.0));
    shift_ = hn::Max(summary<true>(d, scores).largest, hn::Set(d, kLowest<T>));
    threshold_ = hn::Set(d, -1);
    if (power_ >= T(1)) {
      rise(scores);
    } else {
      halve(scores);
    }
  }
  HWY_INLINE V p(V z) const { return raised(above(z), power_); }
  HWY_INLINE V direct(V z) const {
    const V y = above(z);
    return hn::IfThenElseZero(hn::Gt(y, hn::Zero(D())), raised(y, power_ - T(1)));
  }
  HWY_INLINE V pull(V z) const { return direct(z); }
  HWY_INLINE V spread(V z) const { return direct(z); }
  // With q = s/Σs and k = 1/(α - 1), ∂p/∂α = k² (p - q) - k (p log p - q Σ p log p) (Correia, Niculae and Martins 2019,
  // proposition 3).
  static constexpr std::array kParameters{&SharedDue::alpha};
  void prepare_parameters(Column<T> scores) {
    const D d;
    mass_ = sum_over(d, scores, [&](V z) HWY_ATTR { return spread(z); });
    logs_ = sum_over(d, scores, [&](V z) HWY_ATTR { return times_log(d, p(z)); });
  }
  HWY_INLINE V parameter_slope(std::size_t, V z) const {
    const V share = hn::Div(spread(z), mass_), power = hn::Set(D(), power_);
    const V of_logs = hn::NegMulAdd(share, logs_, times_log(D(), p(z)));
    return hn::Mul(power, hn::NegMulAdd(hn::Sub(share, p(z)), power, hn::Neg(of_logs)));
  }

 private:
  HWY_INLINE V above(V z) const {
    const V x = hn::Mul(factor_, hn::Sub(z, shift_));
    return hn::Max(hn::Sub(x, threshold_), hn::Zero(D()));
  }
  // y^k, y >= 0; 0^0 is 1.
  static HWY_INLINE V raised(V y, T k) {
    const D d;
    if (k == T(0)) return hn::Set(d, 1);
    if (k == T(1)) return y;
    if (k == T(2)) return hn::Mul(y, y);
    const V smallest = hn::Set(d, std::numeric_limits<T>::min());
    const V raised = SimdMath<D>().exp(hn::Mul(hn::Set(d, k), hn::Log(d, hn::Max(y, smallest))));
    return hn::IfThenElseZero(hn::Gt(y, hn::Zero(d)), raised);
  }
  HWY_INLINE V total(Column<T> scores) const {
    return sum_over(D(), scores, [&](V z) HWY_ATTR { return p(z); });
  }
  HWY_INLINE void rise(Column<T> scores) {
    const D d;
    // Each step doubles the digits once near, and sparsemax is exact after finitely many. The first steps round
    // at the size of -1, so that the root may be passed by as much: two more steps mend that. Lanes stop one by
    // one: a row must not depend on its neighbours.
    constexpr int kMostSteps = 100;
    const V zero = hn::Zero(d), one = hn::Set(d, 1);
    V left = hn::Set(d, 2);
    for (int step = 0; step < kMostSteps && !hn::AllTrue(d, hn::Eq(left, zero)); ++step) {
      const V slope = sum_over(d, scores, [&](V z) HWY_ATTR { return direct(z); });
      const V excess = hn::Sub(total(scores), one);
      const V next = hn::Add(threshold_, hn::Div(excess, hn::Mul(hn::Set(d, power_), slope)));
      const auto rises = hn::Lt(threshold_, next);
      const auto moves = hn::And(hn::Gt(slope, zero), hn::Gt(left, zero));
      threshold_ = hn::IfThenElse(moves, next, threshold_);
      left = hn::IfThenElse(rises, left, hn::Max(hn::Sub(left, one), zero));
    }
  }
  HWY_INLINE void halve(Column<T> scores) {
    const D d;
    V low = hn::Set(d, -1), high = hn::Zero(d);
    constexpr int kSteps = std::numeric_limits<T>::digits + 8;
    for (int step = 0; step < kSteps; ++step) {
      threshold_ = hn::Mul(hn::Set(d, T(0.5)), hn::Add(low, high));
      const auto below = hn::Ge(total(scores), hn::Set(d, 1));
      low = hn::IfThenElse(below, threshold_, low);
      high = hn::IfThenElse(below, high, threshold_);
    }
    threshold_ = low;
  }

  V factor_, shift_, threshold_;
  V mass_, logs_;  // Σ s, Σ p log p
  T power_;
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_RULES_INL_H_
