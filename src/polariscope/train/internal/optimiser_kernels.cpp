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

// Adds Σ x² over [begin, end), where x = number(d, i) are the numbers from i on.
template <class T, class Number>
HWY_INLINE void add_block(std::int64_t begin, std::int64_t end, const Number& number, double& sum) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto squares = hn::Zero(d);
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const auto x = number(d, i);
    squares = hn::MulAdd(x, x, squares);
  }
  sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, squares)));
  for (; i < end; ++i) {
    const T x = hn::GetLane(number(one, i));
    sum += static_cast<double>(x * x);
  }
}

template <class T, class Number>
HWY_INLINE double in_blocks(std::int64_t count, const Number& number) {
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    add_block<T>(begin, std::min(begin + kBlock, count), number, sum);
  }
  return sum;
}

template <class T>
double squares(std::int64_t count, const T* gradients) {
  return in_blocks<T>(count, [=](auto d, std::int64_t i) HWY_ATTR { return hn::LoadU(d, gradients + i); });
}

template <class T>
double adamw(const AdamWFactors<T>& f, std::int64_t count, const T* gradients, T* values, T* mean, T* square) {
  return in_blocks<T>(count, [=](auto d, std::int64_t i) HWY_ATTR {
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
double sgd(T rate, T momentum, std::int64_t count, const T* gradients, T* values, T* velocity) {
  return in_blocks<T>(count, [=](auto d, std::int64_t i) HWY_ATTR {
    const auto b = hn::MulAdd(hn::Set(d, momentum), hn::LoadU(d, velocity + i), hn::LoadU(d, gradients + i));
    const auto moved = hn::Mul(hn::Set(d, -rate), b);
    hn::StoreU(b, d, velocity + i);
    hn::StoreU(hn::Add(hn::LoadU(d, values + i), moved), d, values + i);
    return moved;
  });
}

// HWY_EXPORT takes no templates.
double squares_float(std::int64_t count, const float* gradients) { return squares(count, gradients); }
double squares_double(std::int64_t count, const double* gradients) { return squares(count, gradients); }
double adamw_float(const AdamWFactors<float>& factors, std::int64_t count, const float* gradients, float* values,
                   float* mean, float* square) {
  return adamw(factors, count, gradients, values, mean, square);
}
double adamw_double(const AdamWFactors<double>& factors, std::int64_t count, const double* gradients, double* values,
                    double* mean, double* square) {
  return adamw(factors, count, gradients, values, mean, square);
}
double sgd_float(float rate, float momentum, std::int64_t count, const float* gradients, float* values,
                 float* velocity) {
  return sgd(rate, momentum, count, gradients, values, velocity);
}
double sgd_double(double rate, double momentum, std::int64_t count, const double* gradients, double* values,
                  double* velocity) {
  return sgd(rate, momentum, count, gradients, values, velocity);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::train
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::train {

HWY_EXPORT(squares_float);
HWY_EXPORT(squares_double);
HWY_EXPORT(adamw_float);
HWY_EXPORT(adamw_double);
HWY_EXPORT(sgd_float);
HWY_EXPORT(sgd_double);

template <>
double squared_norm(std::int64_t count, const float* gradients) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(squares_float)(count, gradients);
}
template <>
double squared_norm(std::int64_t count, const double* gradients) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(squares_double)(count, gradients);
}
template <>
double adamw_step(const AdamWFactors<float>& factors, std::int64_t count, const float* gradients, float* values,
                  float* mean, float* square) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(adamw_float)(factors, count, gradients, values, mean, square);
}
template <>
double adamw_step(const AdamWFactors<double>& factors, std::int64_t count, const double* gradients, double* values,
                  double* mean, double* square) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(adamw_double)(factors, count, gradients, values, mean, square);
}
template <>
double sgd_step(float rate, float momentum, std::int64_t count, const float* gradients, float* values,
                float* velocity) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(sgd_float)(rate, momentum, count, gradients, values, velocity);
}
template <>
double sgd_step(double rate, double momentum, std::int64_t count, const double* gradients, double* values,
                double* velocity) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(sgd_double)(rate, momentum, count, gradients, values, velocity);
}

}  // namespace polariscope::train
#endif  // HWY_ONCE
