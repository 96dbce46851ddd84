// Gradient descent on the logistic loss, fused: the loss's gradient stays along β, so with u = Vᵀβ
//
//   p = σ(a),  z = u·p,  s = sigmoid(-z),  V += ηs βpᵀ,  a += ηs J_σᵀu
//
// V moves by βcᵀ with c = Σ ηs p, so u = u₀ + ‖β‖²c is known without V, which is moved once, at the end.
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
#include "polariscope/flow/internal/tracked-inl.h"
#include "polariscope/reweighting/row-inl.h"

#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Where a step finds packet i of a row's numbers, the lowered scores x, u₀, c and w, and how it takes
// exponentials. In memory...
template <class Packet, class Function>
class RowInMemory {
 public:
  using Real = typename Packet::Real;
  using Whole = typename Packet::Whole::Real;
  HWY_INLINE explicit RowInMemory(const FieldViews& views) : f_(views), count_(Packet().count(f_.tokens)) {}
  HWY_INLINE Real weigh(int i) const { return Packet().keep(Function::weight(Packet(), x(i)), i, f_.tokens); }
  HWY_INLINE Whole strength(Whole z) const {
    const typename Packet::Whole math;
    const Whole one = math.constant(1.0);
    return one / (one + math.exp(z));
  }
  HWY_INLINE Real x(int i) const { return Packet().load(f_.scores, i); }
  HWY_INLINE Real start(int i) const { return Packet().load(f_.projections, i); }
  HWY_INLINE Real moved(int i) const { return Packet().load(f_.pull, i); }
  HWY_INLINE Real weight(int i) const { return Packet().load(f_.weights, i); }
  HWY_INLINE void set_x(int i, Real value) { Packet().store(value, f_.scores, i); }
  HWY_INLINE void set_moved(int i, Real value) { Packet().store(value, f_.pull, i); }
  HWY_INLINE void set_weight(int i, Real value) { Packet().store(value, f_.weights, i); }
  HWY_INLINE void save() const {}
  HWY_INLINE int count() const { return count_; }

 private:
  FieldViews f_;
  int count_;
};

// ...or, where a single packet holds the row, in registers: such a step is one chain of operations, each
// waiting for the last, so it does not wait for stores either, and its exponentials are tracked.
template <class Packet, class Function>
class RowInRegisters {
 public:
  using Real = typename Packet::Real;
  using Whole = typename Packet::Whole::Real;
  HWY_INLINE explicit RowInRegisters(const FieldViews& views)
      : f_(views),
        x_(Packet().load(f_.scores, 0)),
        start_(Packet().load(f_.projections, 0)),
        moved_(Packet().load(f_.pull, 0)),
        weight_(Packet().constant(0.0)),
        exp_(f_.tokens) {}
  HWY_INLINE Real weigh(int) {
    if constexpr (std::is_same_v<Function, ExpFunction>) return exp_(x_);
    return Packet().keep(Function::weight(Packet(), x_), 0, f_.tokens);
  }
  HWY_INLINE Whole strength(Whole z) { return strength_(typename Packet::Whole(), z); }
  HWY_INLINE Real x(int) const { return x_; }
  HWY_INLINE Real start(int) const { return start_; }
  HWY_INLINE Real moved(int) const { return moved_; }
  HWY_INLINE Real weight(int) const { return weight_; }
  HWY_INLINE void set_x(int, Real value) { x_ = value; }
  HWY_INLINE void set_moved(int, Real value) { moved_ = value; }
  HWY_INLINE void set_weight(int, Real value) { weight_ = value; }
  // Writes x and c to memory.
  HWY_INLINE void save() const {
    Packet().store(x_, f_.scores, 0);
    Packet().store(moved_, f_.pull, 0);
  }

  HWY_INLINE int count() const { return 1; }

 private:
  FieldViews f_;
  Real x_, start_, moved_, weight_;
  TrackedExp<Packet> exp_;
  TrackedSigmoid<typename Packet::Whole> strength_;
};

// The steps of a row of scores. In: f.projections holds u₀, f.pull zeros. Out: f.pull holds c.
template <class Packet, class RowType, class RowNumbers>
HWY_INLINE void take_logistic_steps(const FieldViews& f, double size, std::int64_t steps) {
  using Real = typename Packet::Real;
  using WholeMath = typename Packet::Whole;
  using Whole = typename WholeMath::Real;
  using Function = typename RowType::Function;
  using RowOf = Row<Function, RowType::kNormaliser, Packet>;
  const Packet packet;
  const WholeMath math;
  const Whole zero = math.constant(0.0);
  const Whole step = math.constant(size);
  const Whole beta_square = packet.load_one(f.beta_square, 0);
  const Real beta_square_spread = packet.spread(beta_square);
  RowNumbers row(f);

  const auto u = [&](int i) HWY_ATTR { return packet.multiply_add(beta_square_spread, row.moved(i), row.start(i)); };
  Real total, score;  // Σw and Σwu, still to be summed over lanes
  const auto weigh = [&](int i) HWY_ATTR {
    const Real weight = row.weigh(i);
    row.set_weight(i, weight);
    return weight;
  };
  const auto weigh_row = [&]() HWY_ATTR {
    total = weigh(0);
    score = total * u(0);
    for (int i = 1; i < row.count(); ++i) {
      const Real weight = weigh(i);
      total = total + weight;
      score = packet.multiply_add(weight, u(i), score);
    }
  };
  Whole shift = zero;  // a - x
  const auto lower_by = [&](Whole amount) HWY_ATTR {
    const Real spread = packet.spread(amount);
    for (int i = 0; i < row.count(); ++i) row.set_x(i, packet.keep(row.x(i) - spread, i, f.tokens));
    shift = shift + amount;
  };

  Whole travelled = zero;  // Σ s
  for (std::int64_t n = 0; n < steps; ++n) {
    weigh_row();
    Whole sum = packet.row_sum(total);
    if constexpr (Function::kShifted) {
      // Softmax does not depend on the shift: it stays as it is, so that no step waits for a maximum,
      // until Σw says that the largest score has gone far. With a sink only large weights are lowered.
      const Whole lowest = math.constant(RowType::kNormaliser == reweighting::Normaliser::kSumAndSink ? -1.0 : 1e-13);
      const auto far = math.either(math.less(sum, lowest), math.less(math.constant(1e13), sum));
      if (HWY_UNLIKELY(math.any(far))) {
        row.save();
        // Of the lanes that need it alone: a trajectory's numbers must not depend on its neighbours.
        lower_by(math.select(far, RowOf::shift_of(packet, f.tokens, f.scores), zero));
        weigh_row();
        sum = packet.row_sum(total);
      }
    }
    const auto scale = RowOf::scale_of(sum, shift);
    // A division of its own where Σw cannot vanish: it need not wait for 1/Σw.
    constexpr bool kDivide = Function::kShifted && RowType::kNormaliser == reweighting::Normaliser::kSum;
    const Whole z = kDivide ? packet.row_sum(score) / sum : packet.row_sum(score) * scale.inverse;
    const Whole strength = row.strength(z);
    travelled = travelled + strength;

    const Real factor = packet.spread(step * scale.inverse * strength);  // of w: ηs/n
    const Real centre = packet.spread(z * scale.coupling);
    for (int i = 0; i < row.count(); ++i) {
      const Real x = row.x(i);
      const Real weight = row.weight(i);
      const Real direction = Function::slope(packet, x, weight) * (u(i) - centre);
      row.set_x(i, packet.multiply_add(factor, packet.keep(direction, i, f.tokens), x));
      row.set_moved(i, packet.multiply_add(factor, weight, row.moved(i)));
    }
  }
  lower_by(math.negate(shift));
  row.save();
  const Whole length = step * math.sqrt(beta_square);
  packet.store_one(math.multiply_add(length, travelled, packet.load_one(f.strength, 0)), f.strength, 0);
}

// For one row of scores. kFull: V moves; otherwise u itself (the reduced model), by ‖β‖²c.
template <class Packet, class RowType, bool kFull>
HWY_NOINLINE void descend_logistic(const FieldViews& f, double size, std::int64_t count) {
  using Real = typename Packet::Real;
  using Function = typename RowType::Function;
  const Packet packet;
  const Real zero = packet.constant(0.0);
  const int packets = packet.count(f.tokens);
  const auto beta = [&](int r) HWY_ATTR { return packet.spread(packet.load_one(f.beta, r)); };

  for (int i = 0; i < packets; ++i) {
    packet.store(zero, f.pull, i);
    if constexpr (kFull) {
      Real u = zero;
      for (int r = 0; r < f.outputs; ++r) {
        u = packet.multiply_add(beta(r), packet.load(f.values + packet.offset(r * f.stride), i), u);
      }
      packet.store(u, f.projections, i);
    }
  }
  if (packets == 1) {
    take_logistic_steps<Packet, RowType, RowInRegisters<Packet, Function>>(f, size, count);
  } else {
    take_logistic_steps<Packet, RowType, RowInMemory<Packet, Function>>(f, size, count);
  }
  const Real beta_square = packet.spread(packet.load_one(f.beta_square, 0));
  for (int i = 0; i < packets; ++i) {
    const Real moved = packet.load(f.pull, i);
    packet.store(packet.multiply_add(beta_square, moved, packet.load(f.projections, i)), f.projections, i);
    for (int r = 0; kFull && r < f.outputs; ++r) {
      double* v = f.values + packet.offset(r * f.stride);
      packet.store(packet.multiply_add(beta(r), moved, packet.load(v, i)), v, i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_LOGISTIC_INL_H_
