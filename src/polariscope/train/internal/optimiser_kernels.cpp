#include "polariscope/train/internal/optimiser_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/train/internal/optimiser_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::train {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Numbers whose squares are summed before they go to double.
constexpr std::int64_t kBlock = 1024;

// Σ g² and Σ moved² over [begin, end), where move(d, i) makes the step of the numbers from i on and returns what it
// added to the values.
template <class T, class Move>
HWY_INLINE void add_block(std::int64_t begin, std::int64_t end, const T* gradients, const Move& move,
                          SquaredNorms& norms) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto gradient = hn::Zero(d), update = hn::Zero(d);
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const auto moved = move(d, i), g = hn::LoadU(d, gradients + i);
    gradient = hn::MulAdd(g, g, gradient);
    update = hn::MulAdd(moved, moved, update);
  }
  norms.gradient += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, gradient)));
  norms.update += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, update)));
  for (; i < end; ++i) {
    const T moved = hn::GetLane(move(one, i));
    norms.gradient += static_cast<double>(gradients[i] * gradients[i]);
    norms.update += static_cast<double>(moved * moved);
  }
}

template <class T, class Move>
HWY_INLINE SquaredNorms in_blocks(std::int64_t count, const T* gradients, const Move& move) {
  SquaredNorms norms;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    add_block<T>(begin, std::min(begin + kBlock, count), gradients, move, norms);
  }
  return norms;
}

template <class T>
SquaredNorms adamw(const AdamWFactors<T>& f, std::int64_t count, const T* gradients, T* values, T* mean, T* square) {
  return in_blocks<T>(count, gradients, [=](auto d, std::int64_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, gradients + i), before = hn::LoadU(d, values + i);
    const auto m = hn::MulAdd(hn::Set(d, f.beta_1), hn::LoadU(d, mean + i), hn::Mul(hn::Set(d, f.rest_1), g));
    const auto v =
        hn::MulAdd(hn::Set(d, f.beta_2), hn::LoadU(d, square + i), hn::Mul(hn::Mul(hn::Set(d, f.rest_2), g), g));
    const auto size = hn::MulAdd(hn::Sqrt(v), hn::Set(d, f.root), hn::Set(d, f.epsilon));
    const auto after = hn::NegMulAdd(hn::Set(d, f.rate), hn::Div(m, size), hn::Mul(before, hn::Set(d, f.keep)));
    hn::StoreU(m, d, mean + i);
    hn::StoreU(v, d, square + i);
    hn::StoreU(after, d, values + i);
    return hn::Sub(after, before);
  });
}

template <class T>
SquaredNorms sgd(T rate, T momentum, std::int64_t count, const T* gradients, T* values, T* velocity) {
  return in_blocks<T>(count, gradients, [=](auto d, std::int64_t i) HWY_ATTR {
    const auto b = hn::MulAdd(hn::Set(d, momentum), hn::LoadU(d, velocity + i), hn::LoadU(d, gradients + i));
    const auto moved = hn::Mul(hn::Set(d, -rate), b);
    hn::StoreU(b, d, velocity + i);
    hn::StoreU(hn::Add(hn::LoadU(d, values + i), moved), d, values + i);
    return moved;
  });
}

// HWY_EXPORT takes no templates.
SquaredNorms adamw_float(const AdamWFactors<float>& factors, std::int64_t count, const float* gradients, float* values,
                         float* mean, float* square) {
  return adamw(factors, count, gradients, values, mean, square);
}
SquaredNorms adamw_double(const AdamWFactors<double>& factors, std::int64_t count, const double* gradients,
                          double* values, double* mean, double* square) {
  return adamw(factors, count, gradients, values, mean, square);
}
SquaredNorms sgd_float(float rate, float momentum, std::int64_t count, const float* gradients, float* values,
                       float* velocity) {
  return sgd(rate, momentum, count, gradients, values, velocity);
}
SquaredNorms sgd_double(double rate, double momentum, std::int64_t count, const double* gradients, double* values,
                        double* velocity) {
  return sgd(rate, momentum, count, gradients, values, velocity);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::train
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::train {

HWY_EXPORT(adamw_float);
HWY_EXPORT(adamw_double);
HWY_EXPORT(sgd_float);
HWY_EXPORT(sgd_double);

template <>
SquaredNorms adamw_step(const AdamWFactors<float>& factors, std::int64_t count, const float* gradients, float* values,
                        float* mean, float* square) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(adamw_float)(factors, count, gradients, values, mean, square);
}
template <>
SquaredNorms adamw_step(const AdamWFactors<double>& factors, std::int64_t count, const double* gradients,
                        double* values, double* mean, double* square) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(adamw_double)(factors, count, gradients, values, mean, square);
}
template <>
SquaredNorms sgd_step(float rate, float momentum, std::int64_t count, const float* gradients, float* values,
                      float* velocity) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(sgd_float)(rate, momentum, count, gradients, values, velocity);
}
template <>
SquaredNorms sgd_step(double rate, double momentum, std::int64_t count, const double* gradients, double* values,
                      double* velocity) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(sgd_double)(rate, momentum, count, gradients, values, velocity);
}

}  // namespace polariscope::train
#endif  // HWY_ONCE
