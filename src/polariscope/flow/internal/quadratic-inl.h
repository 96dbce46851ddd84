// Gradient descent on a quadratic loss of b = Vp, fused. In the basis of the design's right singular
// vectors, X = U diag(σ) Wᵀ, V' = WᵀV and b' = Wᵀb, every such loss has a diagonal Hessian:
//
//   g'_r = λ_r b'_r − c_r,   λ = 2σ², c = 2σ Uᵀβ   (½‖b − b*‖²: W = I, λ = 1, c = b*)
//
// and descent, which no rotation of V changes, takes the same steps there. So no step multiplies by X;
// V is turned into the basis before the steps and back after them. A step reads V twice: for b', and
// for h = V'ᵀg' together with V' −= η g'pᵀ.

#if defined(POLARISCOPE_FLOW_QUADRATIC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_FLOW_QUADRATIC_INL_H_
#undef POLARISCOPE_FLOW_QUADRATIC_INL_H_
#else
#define POLARISCOPE_FLOW_QUADRATIC_INL_H_
#endif

#include "polariscope/flow/internal/field_arrays.h"
#include "polariscope/flow/internal/packets-inl.h"
#include "polariscope/reweighting/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// V = W V' (kBack) or V' = Wᵀ V.
template <class Packet, bool kBack>
HWY_NOINLINE void turn(const FieldViews& f) {
  const Packet packet;
  for (int i = 0; i < packet.count(f.tokens); ++i) {
    for (int r = 0; r < f.outputs; ++r) {
      auto sum = packet.constant(0.0);
      for (int s = 0; s < f.outputs; ++s) {
        const int at = kBack ? r * f.outputs + s : s * f.outputs + r;
        const auto w = packet.spread(packet.load_one(f.basis, at));
        sum = packet.multiply_add(w, packet.load(f.values + packet.offset(s * f.stride), i), sum);
      }
      packet.store(sum, f.turned + packet.offset(r * f.stride), i);
    }
  }
  for (int i = 0; i < packet.count(f.outputs * f.stride); ++i) packet.store(packet.load(f.turned, i), f.values, i);
}

// For one row of scores.
template <class Packet, class RowType>
HWY_NOINLINE void descend_quadratic(const FieldViews& views, double size, std::int64_t count) {
  using Real = typename Packet::Real;
  using WholeMath = typename Packet::Whole;
  using Whole = typename WholeMath::Real;
  using Function = typename RowType::Function;
  using RowOf = Row<Function, RowType::kNormaliser, Packet>;
  constexpr int kRows = Packet::kRowsAtOnce;
  const Packet packet;
  const WholeMath math;
  const Real zero = packet.constant(0.0);
  const Whole minus = math.constant(-size);
  const FieldViews f = views;  // a copy: what the stores below might overwrite would be read again and again
  const int tokens = packet.count(f.tokens);
  const int outputs = packet.count(f.outputs);
  const std::ptrdiff_t stride = packet.offset(f.stride);

  if (f.loss == Loss::kLeastSquares) turn<Packet, false>(f);
  Whole travelled = math.constant(0.0);
  for (std::int64_t n = 0; n < count; ++n) {
    const Whole shift = RowOf::shift_of(packet, f.tokens, f.scores);
    const Real lowered_by = packet.spread(shift);
    Real total = zero;
    for (int i = 0; i < tokens; ++i) {
      const Real x = packet.load(f.scores, i) - lowered_by;
      const Real weight = packet.keep(Function::weight(packet, x), i, f.tokens);
      packet.store(weight, f.weights, i);
      total = total + weight;
    }
    const auto scale = RowOf::scale_of(packet.row_sum(total), shift);
    const Real inverse = packet.spread(scale.inverse);

    Real square = zero;  // ‖g‖²
    Real pulled = zero;  // h·p = g·b
    for (int i = 0; i < outputs; ++i) {
      Real sums[kRows];
      for (int r = 0; r < kRows; ++r) sums[r] = zero;
      const double* v = f.values + i * kRows * stride;
      for (int j = 0; j < tokens; ++j) {
        const Real weight = packet.load(f.weights, j);
        for (int r = 0; r < kRows; ++r) sums[r] = packet.multiply_add(weight, packet.load(v + r * stride, j), sums[r]);
      }
      const Real b = packet.row_sums(sums) * inverse;
      const Real g = packet.load(f.curvature, i) * b - packet.load(f.drive, i);
      packet.store(g, f.gradient, i);
      square = packet.multiply_add(g, g, square);
      pulled = packet.multiply_add(g, b, pulled);
    }
    travelled = travelled + math.sqrt(packet.row_sum(square));
    const Real mean = packet.spread(packet.row_sum(pulled) * scale.coupling);

    const Real factor = packet.spread(minus * scale.inverse);
    for (int i = 0; i < tokens; ++i) {
      const Real weight = packet.load(f.weights, i);
      const Real moved = factor * weight;    // -ηp
      Real h[4] = {zero, zero, zero, zero};  // four sums: a single one would wait for each of its additions
      double* v = f.values;
      const auto visit = [&](int r, Real& sum) HWY_ATTR {
        const Real g = packet.spread(packet.load_one(f.gradient, r));
        const Real v_r = packet.load(v, i);
        sum = packet.multiply_add(g, v_r, sum);
        packet.store(packet.multiply_add(g, moved, v_r), v, i);
        v += stride;
      };
      int r = 0;
      for (; r + 4 <= f.outputs; r += 4) {
        for (int s = 0; s < 4; ++s) visit(r + s, h[s]);
      }
      for (; r < f.outputs; ++r) visit(r, h[0]);
      const Real x = packet.load(f.scores, i);
      const Real slope = Function::slope(packet, x, weight) * ((h[0] + h[1]) + (h[2] + h[3]) - mean);
      packet.store(packet.multiply_add(factor, packet.keep(slope, i, f.tokens), x), f.scores, i);
    }
  }
  if (f.loss == Loss::kLeastSquares) turn<Packet, true>(f);
  packet.store_one(math.multiply_add(math.constant(size), travelled, packet.load_one(f.strength, 0)), f.strength, 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_QUADRATIC_INL_H_
