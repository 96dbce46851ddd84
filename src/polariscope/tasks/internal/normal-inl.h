// Normal numbers of many streams at once, a stream a lane: those of RandomStream (base/random.h), in single precision.

#if defined(POLARISCOPE_TASKS_NORMAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_TASKS_NORMAL_INL_H_
#undef POLARISCOPE_TASKS_NORMAL_INL_H_
#else
#define POLARISCOPE_TASKS_NORMAL_INL_H_
#endif

#include "polariscope/reweighting/log-inl.h"

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace polariscope::tasks {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using namespace reweighting::HWY_NAMESPACE;

// High and low words of a 32 x 32 bit product.
template <class DU, class VU = hn::Vec<DU>>
HWY_INLINE void multiply_wide(DU du, VU a, VU b, VU& high, VU& low) {
#if HWY_TARGET == HWY_SCALAR
  const auto product = static_cast<std::uint64_t>(hn::GetLane(a)) * hn::GetLane(b);
  high = hn::Set(du, static_cast<std::uint32_t>(product >> 32));
  low = hn::Set(du, static_cast<std::uint32_t>(product));
#else
  const hn::Repartition<std::uint64_t, DU> wide;
  const auto shifted = hn::BitCast(du, hn::ShiftRight<32>(hn::BitCast(wide, a)));
  const auto even = hn::MulEven(a, b), odd = hn::MulEven(shifted, b);
  low = hn::OddEven(hn::BitCast(du, hn::ShiftLeft<32>(odd)), hn::BitCast(du, even));
  high = hn::OddEven(hn::BitCast(du, odd), hn::BitCast(du, hn::ShiftRight<32>(even)));
#endif
}

// d: float lanes. Streams first_stream + lane of `seed`.
template <class D>
class NormalStreams {
 public:
  using DU = hn::RebindToUnsigned<D>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using VU = hn::Vec<DU>;

  HWY_INLINE NormalStreams(std::uint64_t seed, std::uint64_t first_stream) : seed_(seed) {
    for (std::size_t l = 0; l < hn::Lanes(D()); ++l) {
      stream_low_[l] = static_cast<std::uint32_t>(first_stream + l);
      stream_high_[l] = static_cast<std::uint32_t>((first_stream + l) >> 32);
    }
  }

  // The stream's normals 2·block and 2·block + 1, by Box and Muller. Absolute error below 4e-7 times their size or 1.
  HWY_INLINE void pair(std::uint64_t block, float* first, float* second) const {
    const D d;
    VU words[4];
    philox(block, words);
    const V radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0F), log_of_uniform(words[1], words[0])));
    V sine, cosine;
    turn(words[3], sine, cosine);
    hn::Store(hn::Mul(radius, cosine), d, first);
    hn::Store(hn::Mul(radius, sine), d, second);
  }

 private:
  // Philox4x32-10 (Salmon et al. 2011).
  HWY_INLINE void philox(std::uint64_t block, VU (&x)[4]) const {
    const DU du;
    x[0] = hn::Set(du, static_cast<std::uint32_t>(block));
    x[1] = hn::Set(du, static_cast<std::uint32_t>(block >> 32));
    x[2] = hn::Load(du, stream_low_);
    x[3] = hn::Load(du, stream_high_);
    auto key_0 = static_cast<std::uint32_t>(seed_), key_1 = static_cast<std::uint32_t>(seed_ >> 32);
    for (int round = 0; round < 10; ++round, key_0 += 0x9E3779B9U, key_1 += 0xBB67AE85U) {
      VU high_0, low_0, high_1, low_1;
      multiply_wide(du, x[0], hn::Set(du, 0xD2511F53U), high_0, low_0);
      multiply_wide(du, x[2], hn::Set(du, 0xCD9E8D57U), high_1, low_1);
      x[0] = hn::Xor(high_1, hn::Xor(x[1], hn::Set(du, key_0)));
      x[2] = hn::Xor(high_0, hn::Xor(x[3], hn::Set(du, key_1)));
      x[1] = low_1;
      x[3] = low_0;
    }
  }

  // (high·2^32 + low)·2^-64. Two conversions of 16 bits each, since not every target converts unsigned words.
  static HWY_INLINE V fraction(VU high, VU low) {
    const D d;
    const DI di;
    const DU du;
    const VU half = hn::Set(du, 0xFFFFU);
    const auto number = [&](VU word) HWY_ATTR { return hn::ConvertTo(d, hn::BitCast(di, word)); };
    const V bottom = hn::Mul(number(hn::ShiftRight<16>(low)), hn::Set(d, 0x1p-48F));
    const V middle = hn::MulAdd(number(hn::And(high, half)), hn::Set(d, 0x1p-32F), bottom);
    return hn::MulAdd(number(hn::ShiftRight<16>(high)), hn::Set(d, 0x1p-16F), middle);
  }

  // log u; from √½ on f is taken from 1 - u, which has all digits where u has lost them.
  static HWY_INLINE V log_of_uniform(VU high, VU low) {
    const D d;
    // Zero itself is drawn with probability 2^-48 here and would be drawn again there.
    const V u = hn::Max(fraction(high, low), hn::Set(d, 0x1p-53F));
    const V rest = fraction(hn::Not(high), hn::Not(low));
    const auto [e, fraction_of_u] = power_and_fraction(d, u);
    const V f = hn::IfThenElse(hn::Eq(e, hn::Zero(d)), hn::Neg(rest), fraction_of_u);
    const V p = log_polynomial(d, f);
    const V square = hn::Mul(f, f);
    V tail = hn::Mul(hn::Mul(p, f), square);
    tail = hn::MulAdd(e, hn::Set(d, -2.12194440e-4F), tail);
    tail = hn::MulAdd(square, hn::Set(d, -0.5F), tail);
    return hn::Min(hn::MulAdd(e, hn::Set(d, 0.693359375F), hn::Add(f, tail)), hn::Zero(d));
  }

  // Sine and cosine of word·2^-32 of a turn: the nearest quarter, and polynomials for what is left (Cephes, sinf,
  // cosf).
  static HWY_INLINE void turn(VU word, V& sine, V& cosine) {
    const D d;
    const DU du;
    const DI di;
    const VU rounded = hn::Add(word, hn::Set(du, 1U << 29));
    const auto quarter = hn::ShiftRight<30>(rounded);
    const auto left = hn::Sub(hn::BitCast(di, hn::And(rounded, hn::Set(du, (1U << 30) - 1))), hn::Set(di, 1 << 29));
    const V x = hn::Mul(hn::ConvertTo(d, left), hn::Set(d, 0x1.921fb6p-30F));  // π/2 · 2^-30
    const V z = hn::Mul(x, x);
    V s = hn::MulAdd(z, hn::Set(d, -1.9515295891e-4F), hn::Set(d, 8.3321608736e-3F));
    s = hn::MulAdd(s, z, hn::Set(d, -1.6666654611e-1F));
    s = hn::MulAdd(hn::Mul(s, z), x, x);
    V c = hn::MulAdd(z, hn::Set(d, 2.443315711809948e-5F), hn::Set(d, -1.388731625493765e-3F));
    c = hn::MulAdd(c, z, hn::Set(d, 4.166664568298827e-2F));
    c = hn::MulAdd(hn::Mul(c, z), z, hn::MulAdd(z, hn::Set(d, -0.5F), hn::Set(d, 1.0F)));
    // Quarter 1 is (c, -s), 2 (-s, -c), 3 (-c, s) of (sine, cosine).
    const auto odd = hn::MaskFromVec(hn::BitCast(d, hn::Sub(hn::Zero(du), hn::And(quarter, hn::Set(du, 1U)))));
    const VU sine_sign = hn::ShiftLeft<31>(hn::ShiftRight<1>(quarter));
    const VU cosine_sign = hn::ShiftLeft<31>(hn::ShiftRight<1>(hn::Add(quarter, hn::Set(du, 1U))));
    sine = hn::Xor(hn::IfThenElse(odd, c, s), hn::BitCast(d, sine_sign));
    cosine = hn::Xor(hn::IfThenElse(odd, s, c), hn::BitCast(d, cosine_sign));
  }

  std::uint64_t seed_;
  HWY_ALIGN std::uint32_t stream_low_[hn::MaxLanes(D())], stream_high_[hn::MaxLanes(D())];
};

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::tasks
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_TASKS_NORMAL_INL_H_
