// Gradient descent on the logistic loss, fused: the loss's gradient stays along β, so with u = Vᵀβ
//
//   p = σ(a),  z = u·p,  s = sigmoid(-z),  V += ηs βpᵀ,  a += ηs J_σᵀu
//
// needs no prediction b, and u for the next step falls out of the pass that updates V.
// The order of operations keeps the chain from one step to the next short: it is what a single
// trajectory waits for.

#if defined(POLARISCOPE_FLOW_LOGISTIC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_FLOW_LOGISTIC_INL_H_
#undef POLARISCOPE_FLOW_LOGISTIC_INL_H_
#else
#define POLARISCOPE_FLOW_LOGISTIC_INL_H_
#endif

#include "polariscope/flow/internal/field_arrays.h"
#include "polariscope/flow/internal/packets-inl.h"
#include "polariscope/reweighting/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope {
namespace HWY_NAMESPACE {

// For one row of scores. kFull: V moves and u is recomputed from it; otherwise u itself moves (the
// reduced model), u += ηs‖β‖² p.
template <class Packet, class RowType, bool kFull>
HWY_NOINLINE void descend_logistic(const FieldViews& f, double size, std::int64_t count) {
  using Real = typename Packet::Real;
  using WholeMath = typename Packet::Whole;
  using Whole = typename WholeMath::Real;
  using Function = typename RowType::Function;
  using RowOf = Row<Function, RowType::kNormaliser, Packet>;
  const Packet packet;
  const WholeMath math;
  const Whole one = math.constant(1.0);
  const Whole step = math.constant(size);
  const Whole beta_square = packet.load_one(f.beta_square, 0);
  const Real beta_square_spread = packet.spread(beta_square);
  const Real zero = packet.constant(0.0);
  const int packets = packet.count(f.tokens);
  double* const a = f.scores;
  double* const u = f.projections;
  double* const w = f.weights;

  // Moves packet i of every row of V by β_r times `amount`, and takes u = Vᵀβ of the moved V.
  const auto move_values = [&](int i, Real amount) HWY_ATTR {
    Real pull = zero;
    double* v = f.values + i * Packet::lanes();
    for (int r = 0; r < f.outputs; ++r, v += packet.offset(f.stride)) {
      const Real beta = packet.spread(packet.load_one(f.beta, r));
      const Real moved = packet.multiply_add(beta, amount, packet.load(v, 0));
      packet.store(moved, v, 0);
      pull = packet.multiply_add(beta, moved, pull);
    }
    packet.store(pull, u, i);
  };

  if constexpr (kFull) {
    for (int i = 0; i < packets; ++i) move_values(i, zero);
  }
  Whole shift = RowOf::shift_of(packet, f.tokens, a);
  Whole travelled = math.constant(0.0);  // Σ s
  for (std::int64_t n = 0; n < count; ++n) {
    const Real lowered_by = packet.spread(shift);
    Real total = zero;
    Real score = zero;
    for (int i = 0; i < packets; ++i) {
      const Real weight = packet.keep(Function::weight(packet, packet.load(a, i) - lowered_by), i, f.tokens);
      packet.store(weight, w, i);
      total = total + weight;
      score = packet.multiply_add(weight, packet.load(u, i), score);
    }
    const auto scale = RowOf::scale_of(packet.row_sum(total), shift);
    const Whole z = packet.row_sum(score) * scale.inverse;
    const Whole strength = one / (one + math.exp(z));
    travelled = travelled + strength;

    const Real factor = packet.spread(strength * (step * scale.inverse));
    const Real centre = packet.spread(z * scale.coupling);
    for (int i = 0; i < packets; ++i) {
      const Real score_i = packet.load(a, i);
      const Real weight = packet.load(w, i);
      const Real slope = Function::slope(packet, score_i, weight);
      const Real direction = packet.keep(slope * (packet.load(u, i) - centre), i, f.tokens);
      packet.store(packet.multiply_add(factor, direction, score_i), a, i);
      if constexpr (kFull) {
        move_values(i, factor * weight);
      } else {
        packet.store(packet.multiply_add(beta_square_spread, factor * weight, packet.load(u, i)), u, i);
      }
    }
    // Softmax does not depend on the shift: one that is off by up to 30 saves the next step from waiting
    // for the new maximum.
    if constexpr (Function::kShifted) {
      const Whole top = RowOf::shift_of(packet, f.tokens, a);
      // Lane by lane, so that a trajectory's bits do not depend on its neighbours.
      const auto stale = math.less(math.constant(30.0), math.abs(top - shift));
      if (HWY_UNLIKELY(math.any(stale))) shift = math.select(stale, top, shift);
    }
  }
  const Whole length = step * math.sqrt(beta_square);
  packet.store_one(math.multiply_add(length, travelled, packet.load_one(f.strength, 0)), f.strength, 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_LOGISTIC_INL_H_
