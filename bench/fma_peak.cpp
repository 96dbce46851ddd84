#include "bench/fma_peak.h"

#include "bench/measure.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace polariscope::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve independent sums: two units with a latency of four or five cycles need eight to ten, and AVX2
// has sixteen registers. Returns the operations done; the sums go to `sink`, so that they are computed.
template <class T>
double multiply_add_rounds(int rounds, double* sink) {
  const hn::ScalableTag<T> d;
  const auto x = hn::Set(d, T(1) - T(1e-6));
  const auto y = hn::Set(d, T(1e-6));
  auto s0 = hn::Iota(d, 0), s1 = hn::Iota(d, 1), s2 = hn::Iota(d, 2), s3 = hn::Iota(d, 3);
  auto s4 = hn::Iota(d, 4), s5 = hn::Iota(d, 5), s6 = hn::Iota(d, 6), s7 = hn::Iota(d, 7);
  auto s8 = hn::Iota(d, 8), s9 = hn::Iota(d, 9), s10 = hn::Iota(d, 10), s11 = hn::Iota(d, 11);
  for (int i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, x, y);
    s1 = hn::MulAdd(s1, x, y);
    s2 = hn::MulAdd(s2, x, y);
    s3 = hn::MulAdd(s3, x, y);
    s4 = hn::MulAdd(s4, x, y);
    s5 = hn::MulAdd(s5, x, y);
    s6 = hn::MulAdd(s6, x, y);
    s7 = hn::MulAdd(s7, x, y);
    s8 = hn::MulAdd(s8, x, y);
    s9 = hn::MulAdd(s9, x, y);
    s10 = hn::MulAdd(s10, x, y);
    s11 = hn::MulAdd(s11, x, y);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  *sink =
      static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, hn::Add(hn::Add(s8, s9), hn::Add(s10, s11))))));
  return 2.0 * 12.0 * static_cast<double>(hn::Lanes(d)) * rounds;
}

// HWY_EXPORT takes no templates.
double rounds_of_floats(int rounds, double* sink) { return multiply_add_rounds<float>(rounds, sink); }
double rounds_of_doubles(int rounds, double* sink) { return multiply_add_rounds<double>(rounds, sink); }

std::int64_t target_bits() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::bench {

HWY_EXPORT(rounds_of_floats);
HWY_EXPORT(rounds_of_doubles);
HWY_EXPORT(target_bits);

template <class T>
double fma_peak() {
  constexpr int kRounds = 4'000'000;
  double sink = 0.0;
  double operations = 0.0;
  const double seconds = processor_seconds_of([&] {
    operations = sizeof(T) == 4 ? HWY_DYNAMIC_DISPATCH(rounds_of_floats)(kRounds, &sink)
                                : HWY_DYNAMIC_DISPATCH(rounds_of_doubles)(kRounds, &sink);
  });
  // Never true: the sums are finite. The compiler does not know.
  return sink == 1e300 ? 0.0 : operations / seconds;
}
template double fma_peak<float>();
template double fma_peak<double>();

std::string vector_target() { return hwy::TargetName(HWY_DYNAMIC_DISPATCH(target_bits)()); }

}  // namespace polariscope::bench
#endif  // HWY_ONCE
