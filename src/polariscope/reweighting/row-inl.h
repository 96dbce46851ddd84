// One row of attention, forward and backward, for any weight function, normaliser and kind of packet:
//
//   w_j = f(z_j),   p_j = w_j / n,   n = normaliser(Σw)
//   dz_j = f'(z_j)/n · (h_j − c·Σ_i h_i p_i),   c = ∂n/∂(Σw)
//
// A `Packet` is how many numbers are handled at once: one double, W tokens of one row, or one token of
// W independent rows. It loads and stores by packet index, masks the tail of a row, and reduces a
// packet over the row's tokens (which is the identity where lanes are rows) to a number of the whole row.

#if defined(POLARISCOPE_REWEIGHTING_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_ROW_INL_H_
#undef POLARISCOPE_REWEIGHTING_ROW_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_ROW_INL_H_
#endif

#include "polariscope/reweighting/functions-inl.h"
#include "polariscope/reweighting/reweighting.h"

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {

// What backward needs of the forward pass, as numbers of the whole row.
template <class Whole>
struct RowScale {
  Whole inverse;   // 1/n; 0 for a row without any weight (Σw = 0, or so small that 1/Σw overflows)
  Whole coupling;  // c above
};

template <class Function, Normaliser kNormaliser, class Packet>
struct Row {
  using Real = typename Packet::Real;
  using WholeMath = typename Packet::Whole;
  using Whole = typename WholeMath::Real;
  using Scale = RowScale<Whole>;

  // From Σw, which was taken with scores lowered by `shift`.
  static Scale scale_of(Whole total, Whole shift) {
    const WholeMath math;
    const Whole zero = math.constant(0.0);
    const Whole one = math.constant(1.0);
    if constexpr (kNormaliser == Normaliser::kSum || kNormaliser == Normaliser::kSumAndSink) {
      if constexpr (kNormaliser == Normaliser::kSumAndSink) total = total + Function::weight(math, math.negate(shift));
      const Whole smallest = math.constant(std::numeric_limits<double>::min());
      return {math.select(math.less(math.abs(total), smallest), zero, one / total), one};
    } else if constexpr (kNormaliser == Normaliser::kMax1) {
      const Whole size = math.abs(total);
      const Whole sign = math.select(math.less(total, zero), math.negate(one), one);
      return {one / math.select(math.less(size, one), one, size), math.select(math.less(one, size), sign, zero)};
    } else {
      static_assert(kNormaliser == Normaliser::kNone, "only attention's rows have visible keys to count");
      return {one, zero};
    }
  }

  // What the scores are lowered by so that e^z cannot overflow: their maximum; 0 for the other functions.
  static Whole shift_of(Packet packet, int tokens, const double* z) {
    const Whole zero = WholeMath().constant(0.0);
    if constexpr (!Function::kShifted) return zero;
    Real top = packet.load_or(z, 0, tokens, packet.lowest());
    for (int i = 1; i < packet.count(tokens); ++i) {
      top = packet.max(top, packet.load_or(z, i, tokens, packet.lowest()));
    }
    const Whole shift = packet.row_max(top);
    return kNormaliser == Normaliser::kSumAndSink ? WholeMath().max(shift, zero) : shift;
  }

  // z: [tokens] scores. Writes w and p, [tokens] each, padding included (as zeros).
  static Scale forward(Packet packet, int tokens, const double* z, double* w, double* p) {
    const Whole shift = shift_of(packet, tokens, z);
    const Real lowered_by = packet.spread(shift);
    Real total = packet.constant(0.0);
    for (int i = 0; i < packet.count(tokens); ++i) {
      const Real weight = packet.keep(Function::weight(packet, packet.load(z, i) - lowered_by), i, tokens);
      packet.store(weight, w, i);
      total = total + weight;
    }
    const Scale scale = scale_of(packet.row_sum(total), shift);
    const Real inverse = packet.spread(scale.inverse);
    for (int i = 0; i < packet.count(tokens); ++i) packet.store(packet.load(w, i) * inverse, p, i);
    return scale;
  }

  // h: [tokens] gradient of the loss with respect to p. Writes dz: [tokens].
  static void backward(Packet packet, int tokens, const double* z, const double* w, const double* p, const Scale& scale,
                       const double* h, double* dz) {
    Real mean = packet.constant(0.0);
    if constexpr (kNormaliser != Normaliser::kNone) {
      for (int i = 0; i < packet.count(tokens); ++i) {
        mean = packet.multiply_add(packet.load(h, i), packet.load(p, i), mean);
      }
      mean = packet.spread(packet.row_sum(mean) * scale.coupling);
    }
    const Real inverse = packet.spread(scale.inverse);
    for (int i = 0; i < packet.count(tokens); ++i) {
      const Real slope = Function::slope(packet, packet.load(z, i), packet.load(w, i)) * inverse;
      packet.store(packet.keep(slope * (packet.load(h, i) - mean), i, tokens), dz, i);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_ROW_INL_H_
