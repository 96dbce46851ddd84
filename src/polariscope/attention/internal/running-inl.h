// What is known so far of a vector of rows: a number a lane, for each of some quantities.

#if defined(POLARISCOPE_ATTENTION_RUNNING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_RUNNING_INL_H_
#undef POLARISCOPE_ATTENTION_RUNNING_INL_H_
#else
#define POLARISCOPE_ATTENTION_RUNNING_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

enum Quantity : int {
  kShift,         // m: exponentials are of z - m
  kRescale,       // what a new m takes the sums by, e^{m - m'}
  kSum,           // Σ w
  kSumAbsolute,   // Σ |w|, of signed weights
  kSumLog,        // Σ w (z - m), of exponentials; Σ |w| log |w|, of others
  kSumSquares,    // Σ w²
  kLargest,       // max |w|, of other weights than exponentials
  kLargestIndex,  // the key that attains it first
  kFirst,         // z of key 0 (exponentials of rows taken tile by tile), or its w
  kCount,         // visible keys
  kLogitMean,
  kLogitSquares,  // Σ (z - mean)²
  kLogitMaximum,
  kWeightMean,
  kWeightSquares,  // Σ (w - mean)²
  kWeightCubes,    // Σ (w - mean)³
  kSpoilt,         // 0, or NaN once a score was not finite
  kQuantities,
};

// Kept in memory, for rows that are taken tile by tile.
template <class D>
class Running {
 public:
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kWhole = false;
  static constexpr bool kShared = false;
  // first: quantity 0 of these lanes; stride: from one quantity to the next.
  HWY_INLINE Running(T* first, std::ptrdiff_t stride) : first_(first), stride_(stride) {}
  HWY_INLINE V get(Quantity q) const { return hn::Load(D(), first_ + q * stride_); }
  HWY_INLINE void set(Quantity q, V value) const { hn::Store(value, D(), first_ + q * stride_); }
  HWY_INLINE void add(Quantity q, V value) const { set(q, hn::Add(get(q), value)); }

 private:
  T* first_;
  std::ptrdiff_t stride_;
};

// The same of one row whose keys are dealt to the lanes: each knows its own keys, and all have one shift.
template <class D>
class SharedRunning : public Running<D> {
 public:
  static constexpr bool kShared = true;
  HWY_INLINE SharedRunning(hn::TFromD<D>* first, std::ptrdiff_t stride) : Running<D>(first, stride) {}
};

// The same face, kept in registers, for rows that one tile holds whole, or that are known whole by now.
template <class D, bool kOfOneTile = true>
class HeldRow {
 public:
  using V = hn::Vec<D>;
  static constexpr bool kWhole = kOfOneTile;
  static constexpr bool kShared = false;
  HWY_INLINE V get(Quantity q) const { return values_[q]; }
  HWY_INLINE void set(Quantity q, V value) { values_[q] = value; }
  HWY_INLINE void add(Quantity q, V value) { values_[q] = hn::Add(values_[q], value); }

 private:
  V values_[kQuantities];
};

// Mean and central sums of n numbers.
template <class V>
struct Moments {
  V count, mean, squares, cubes;
};

// Of two sets together (Chan, Golub and LeVeque 1983; Pébay 2008 for the cubes). Empty sets are welcome.
template <bool kCubes, class D, class V = hn::Vec<D>>
HWY_INLINE Moments<V> merged(D d, const Moments<V>& a, const Moments<V>& b) {
  const V zero = hn::Zero(d);
  const V count = hn::Add(a.count, b.count);
  const V inverse = hn::IfThenElseZero(hn::Gt(count, zero), hn::Div(hn::Set(d, 1), count));
  const V apart = hn::Sub(b.mean, a.mean);
  const V share = hn::Mul(b.count, inverse);
  const V cross = hn::Mul(hn::Mul(apart, apart), hn::Mul(a.count, share));
  Moments<V> both{count, hn::MulAdd(apart, share, a.mean), hn::Add(hn::Add(a.squares, b.squares), cross), zero};
  if constexpr (kCubes) {
    const V skew = hn::Mul(hn::Mul(cross, apart), hn::Mul(hn::Sub(a.count, b.count), inverse));
    const V mixed = hn::Mul(hn::Sub(hn::Mul(a.count, b.squares), hn::Mul(b.count, a.squares)), hn::Mul(apart, inverse));
    both.cubes = hn::Add(hn::Add(a.cubes, b.cubes), hn::MulAdd(hn::Set(d, 3), mixed, skew));
  }
  return both;
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_RUNNING_INL_H_
