// The two SIMD packets of the flow: W tokens of one trajectory, or one token of W trajectories.
// The equations (field-inl.h) and the rows (reweighting/row.h) are written once for both.

#if defined(POLARISCOPE_FLOW_PACKETS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_FLOW_PACKETS_INL_H_
#undef POLARISCOPE_FLOW_PACKETS_INL_H_
#else
#define POLARISCOPE_FLOW_PACKETS_INL_H_
#endif

#include "polariscope/reweighting/simd_math-inl.h"

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using namespace reweighting::HWY_NAMESPACE;

using VectorMath = SimdMath<hn::ScalableTag<double>>;

// W tokens of one trajectory. Vectors are padded with zeros to a multiple of W. A number that belongs
// to the whole row is kept once, in a narrow vector, whose divisions take half the time.
struct AlongTokens : VectorMath {
  using Whole = SimdMath<hn::CappedTag<double, 1>>;
  using Tag = hn::ScalableTag<double>;
  static constexpr int kRowsAtOnce = hn::MaxLanes(Tag());
  HWY_INLINE int count(int tokens) const { return (tokens + lanes() - 1) / lanes(); }
  HWY_INLINE int offset(int elements) const { return elements; }  // where element i of an array starts

  HWY_INLINE Real load(const double* from, int i) const { return hn::Load(Tag(), from + i * lanes()); }
  HWY_INLINE void store(Real value, double* to, int i) const { hn::Store(value, Tag(), to + i * lanes()); }
  HWY_INLINE Real load_or(const double* from, int i, int tokens, Real otherwise) const {
    return hn::IfThenElse(valid(i, tokens), load(from, i), otherwise);
  }
  HWY_INLINE Real keep(Real value, int i, int tokens) const { return hn::IfThenElseZero(valid(i, tokens), value); }

  HWY_INLINE Whole::Real row_sum(Real value) const {
    return hn::Set(WholeTag(), hn::GetLane(hn::SumOfLanes(Tag(), value)));
  }
  HWY_INLINE Whole::Real row_max(Real value) const {
    return hn::Set(WholeTag(), hn::GetLane(hn::MaxOfLanes(Tag(), value)));
  }
  // The sums of W rows as one packet: a tree that halves the number of vectors, rather than W sums of lanes.
  HWY_INLINE Real row_sums(const Real (&rows)[kRowsAtOnce]) const {
#if HWY_TARGET == HWY_SCALAR
    return rows[0];
#else
    const Tag d;
    Real sums[kRowsAtOnce / 2];
    for (int r = 0; r < kRowsAtOnce; r += 2) {
      sums[r / 2] = hn::InterleaveLower(d, rows[r], rows[r + 1]) + hn::InterleaveUpper(d, rows[r], rows[r + 1]);
    }
#if HWY_MAX_BYTES >= 64
    for (int r = 0; r < kRowsAtOnce / 2; r += 2) {
      sums[r / 2] =
          hn::OddEvenBlocks(sums[r + 1], sums[r]) + hn::SwapAdjacentBlocks(hn::OddEvenBlocks(sums[r], sums[r + 1]));
    }
#endif
#if HWY_MAX_BYTES >= 32
    sums[0] = hn::ConcatLowerLower(d, sums[1], sums[0]) + hn::ConcatUpperUpper(d, sums[1], sums[0]);
#endif
    return sums[0];
#endif
  }
  HWY_INLINE Real spread(Whole::Real value) const { return constant(hn::GetLane(value)); }
  HWY_INLINE Whole::Real load_one(const double* from, int i) const { return hn::Set(WholeTag(), from[i]); }
  HWY_INLINE void store_one(Whole::Real value, double* to, int i) const { to[i] = hn::GetLane(value); }

 private:
  using WholeTag = hn::CappedTag<double, 1>;
  HWY_INLINE Mask valid(int i, int tokens) const {
    const int left = tokens - i * lanes();
    return hn::FirstN(Tag(), static_cast<size_t>(left < lanes() ? left : lanes()));
  }
};

// One token of W trajectories: element i of an array holds W numbers, one a trajectory.
struct AcrossTrajectories : VectorMath {
  using Whole = VectorMath;
  using Tag = hn::ScalableTag<double>;
  static constexpr int kRowsAtOnce = 1;
  HWY_INLINE int count(int tokens) const { return tokens; }
  HWY_INLINE int offset(int elements) const { return elements * lanes(); }

  HWY_INLINE Real load(const double* from, int i) const { return hn::Load(Tag(), from + i * lanes()); }
  HWY_INLINE void store(Real value, double* to, int i) const { hn::Store(value, Tag(), to + i * lanes()); }
  HWY_INLINE Real load_or(const double* from, int i, int, Real) const { return load(from, i); }
  HWY_INLINE Real keep(Real value, int, int) const { return value; }

  HWY_INLINE Real row_sum(Real value) const { return value; }
  HWY_INLINE Real row_max(Real value) const { return value; }
  HWY_INLINE Real row_sums(const Real (&rows)[kRowsAtOnce]) const { return rows[0]; }
  HWY_INLINE Real spread(Real value) const { return value; }
  HWY_INLINE Real load_one(const double* from, int i) const { return load(from, i); }
  HWY_INLINE void store_one(Real value, double* to, int i) const { store(value, to, i); }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_FLOW_PACKETS_INL_H_
