// The simplest packet: one double at a time. What the double-precision face computes with, and what
// the SIMD packets are tested against.

#if defined(POLARISCOPE_REWEIGHTING_SCALAR_PACKET_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_SCALAR_PACKET_INL_H_
#undef POLARISCOPE_REWEIGHTING_SCALAR_PACKET_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_SCALAR_PACKET_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {

struct ScalarPacket {
  using Real = double;
  using Whole = ScalarPacket;

  int count(int tokens) const { return tokens; }
  Real load(const double* from, int i) const { return from[i]; }
  Real load_or(const double* from, int i, int, Real) const { return from[i]; }
  void store(Real value, double* to, int i) const { to[i] = value; }
  Real keep(Real value, int, int) const { return value; }
  Real row_sum(Real value) const { return value; }
  Real row_max(Real value) const { return value; }
  Real spread(Real value) const { return value; }

  Real constant(double value) const { return value; }
  Real lowest() const { return -std::numeric_limits<double>::infinity(); }
  Real exp(Real x) const { return std::exp(x); }
  Real abs(Real x) const { return std::abs(x); }
  Real negate(Real x) const { return -x; }
  Real max(Real a, Real b) const { return a < b ? b : a; }
  Real multiply_add(Real a, Real b, Real c) const { return a * b + c; }
  bool less(Real a, Real b) const { return a < b; }
  bool is_nan(Real x) const { return std::isnan(x); }
  Real select(bool condition, Real yes, Real no) const { return condition ? yes : no; }
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_SCALAR_PACKET_INL_H_
