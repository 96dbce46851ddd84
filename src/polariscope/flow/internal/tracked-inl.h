// Functions of a number that moves little from one step to the next, as Taylor polynomials about a centre
// that is kept while the number stays near it: a step waits neither for a range reduction nor for a division.

#if defined(POLARISCOPE_FLOW_TRACKED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_FLOW_TRACKED_INL_H_
#undef POLARISCOPE_FLOW_TRACKED_INL_H_
#else
#define POLARISCOPE_FLOW_TRACKED_INL_H_
#endif

#include "polariscope/flow/internal/packets-inl.h"

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {

// How far the number may go from its centre. What the polynomials of degree 7 leave out is below 3e-17 of
// e^x (δ⁸/8!) and of the sigmoid (whose poles are π away: about 2δ⁸/π⁸).
inline constexpr double kTrackedReach = 1.0 / 38.0;

// c₁ + c₂ δ + … + c₇ δ⁶ in three dependent operations.
template <class Math, class Real>
HWY_INLINE Real mean_slope(Math math, Real delta, const Real (&c)[8]) {
  const Real square = delta * delta;
  const Real c12 = math.multiply_add(c[2], delta, c[1]);
  const Real c34 = math.multiply_add(c[4], delta, c[3]);
  const Real c56 = math.multiply_add(c[6], delta, c[5]);
  const Real c14 = math.multiply_add(c34, square, c12);
  const Real c57 = math.multiply_add(c[7], square, c56);
  return math.multiply_add(c57, square * square, c14);
}

template <class Math, class Real>
HWY_INLINE bool all_near(Math math, Real delta) {
  const auto near = math.less(math.abs(delta), math.constant(kTrackedReach));
  return math.all(near);  // false for NaN
}

// e^x of the scores of a row that one packet holds; 0 beyond its tokens.
template <class Packet>
class TrackedExp {
 public:
  using Real = typename Packet::Real;
  HWY_INLINE explicit TrackedExp(int tokens)
      : tokens_(tokens), centre_(Packet().constant(0.0)), value_(Packet().keep(Packet().constant(1.0), 0, tokens)) {}
  HWY_INLINE Real operator()(Real x) {
    const Packet packet;
    const Real delta = x - centre_;
    if (HWY_LIKELY(all_near(packet, delta))) {
      const Real c[8] = {packet.constant(1.0),       packet.constant(1.0),       packet.constant(1.0 / 2),
                         packet.constant(1.0 / 6),   packet.constant(1.0 / 24),  packet.constant(1.0 / 120),
                         packet.constant(1.0 / 720), packet.constant(1.0 / 5040)};
      return packet.multiply_add(value_ * delta, mean_slope(packet, delta, c), value_);
    }
    value_ = packet.keep(packet.exp(x), 0, tokens_);
    // Nothing is near to a centre whose exponential is infinite.
    const Real infinity = packet.constant(std::numeric_limits<double>::infinity());
    centre_ = packet.select(packet.less(value_, infinity), x, infinity);
    return value_;
  }

 private:
  int tokens_;
  Real centre_, value_;
};

// sigmoid(-z) = 1/(1 + e^z), the logistic loss's slope.
template <class Math>
class TrackedSigmoid {
 public:
  using Real = typename Math::Real;
  // At first nothing is near.
  HWY_INLINE TrackedSigmoid() : centre_(Math().constant(std::numeric_limits<double>::infinity())) {
    for (Real& c : c_) c = Math().constant(0.0);
  }
  HWY_INLINE Real operator()(Math math, Real z) {
    const Real delta = z - centre_;
    if (HWY_LIKELY(all_near(math, delta))) {
      return math.multiply_add(mean_slope(math, delta, c_), delta, c_[0]);
    }
    move_to(math, z);
    return c_[0];
  }

 private:
  // y = Σ c_k δ^k solves y' = y² - y, so (k+1) c_{k+1} = Σ_i c_i c_{k-i} - c_k.
  HWY_NOINLINE void move_to(Math math, Real z) {
    centre_ = z;
    const Real one = math.constant(1.0);
    c_[0] = one / (one + math.exp(z));
    for (int k = 0; k < 7; ++k) {
      Real sum = math.negate(c_[k]);
      for (int i = 0; i <= k; ++i) sum = math.multiply_add(c_[i], c_[k - i], sum);
      c_[k + 1] = sum * math.constant(1.0 / (k + 1));
    }
  }

  Real centre_;
  Real c_[8];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_TRACKED_INL_H_
