// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/models/internal/kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/models/internal/kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/models/internal/gelu-inl.h"
#include "polariscope/models/internal/rows-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

// HWY_EXPORT takes no templates.
void gelu_float(std::int64_t rows, std::int64_t width, const float* bias, float* x, float* value) {
  gelu_rows(rows, width, bias, x, value);
}
void gelu_double(std::int64_t rows, std::int64_t width, const double* bias, double* x, double* value) {
  gelu_rows(rows, width, bias, x, value);
}
void layer_norm_float(std::int64_t rows, std::int64_t width, const float* x, const float* weight, const float* bias,
                      float epsilon, float* y, float* means, float* inverses) {
  layer_norm_rows<float>(rows, width, x, weight, bias, epsilon, y, means, inverses);
}
void layer_norm_double(std::int64_t rows, std::int64_t width, const double* x, const double* weight, const double* bias,
                       double epsilon, double* y, double* means, double* inverses) {
  layer_norm_rows<double>(rows, width, x, weight, bias, epsilon, y, means, inverses);
}
void layer_norm_gradient_float(std::int64_t rows, std::int64_t width, const float* x, const float* weight,
                               const float* means, const float* inverses, const float* dy, const float* besides,
                               float* dx, float* d_weight, float* d_bias) {
  layer_norm_gradient_rows<float>(rows, width, x, weight, means, inverses, dy, besides, dx, d_weight, d_bias);
}
void layer_norm_gradient_double(std::int64_t rows, std::int64_t width, const double* x, const double* weight,
                                const double* means, const double* inverses, const double* dy, const double* besides,
                                double* dx, double* d_weight, double* d_bias) {
  layer_norm_gradient_rows<double>(rows, width, x, weight, means, inverses, dy, besides, dx, d_weight, d_bias);
}
void column_sums_float(std::int64_t rows, std::int64_t width, const float* g, float* sums) {
  column_sum_rows(rows, width, g, sums);
}
void column_sums_double(std::int64_t rows, std::int64_t width, const double* g, double* sums) {
  column_sum_rows(rows, width, g, sums);
}
void times_slopes_float(std::int64_t rows, std::int64_t width, const float* g, const float* slopes, float* product,
                        float* sums) {
  times_slope_rows(rows, width, g, slopes, product, sums);
}
void times_slopes_double(std::int64_t rows, std::int64_t width, const double* g, const double* slopes, double* product,
                         double* sums) {
  times_slope_rows(rows, width, g, slopes, product, sums);
}
double cross_entropy_float(std::int64_t rows, std::int64_t width, const float* z, const std::int64_t* targets,
                           const float* weights, float* dz) {
  return cross_entropy_rows<float>(rows, width, z, targets, weights, dz);
}
double cross_entropy_double(std::int64_t rows, std::int64_t width, const double* z, const std::int64_t* targets,
                            const double* weights, double* dz) {
  return cross_entropy_rows<double>(rows, width, z, targets, weights, dz);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::models {

HWY_EXPORT(gelu_float);
HWY_EXPORT(gelu_double);
HWY_EXPORT(layer_norm_float);
HWY_EXPORT(layer_norm_double);
HWY_EXPORT(layer_norm_gradient_float);
HWY_EXPORT(layer_norm_gradient_double);
HWY_EXPORT(column_sums_float);
HWY_EXPORT(column_sums_double);
HWY_EXPORT(times_slopes_float);
HWY_EXPORT(times_slopes_double);
HWY_EXPORT(cross_entropy_float);
HWY_EXPORT(cross_entropy_double);

template <>
void gelu(std::int64_t rows, std::int64_t width, const float* bias, float* x, float* value) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(gelu_float)(rows, width, bias, x, value);
}
template <>
void gelu(std::int64_t rows, std::int64_t width, const double* bias, double* x, double* value) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(gelu_double)(rows, width, bias, x, value);
}
template <>
void layer_norm(std::int64_t rows, std::int64_t width, const float* x, const float* weight, const float* bias,
                float epsilon, float* y, float* means, float* inverses) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(layer_norm_float)(rows, width, x, weight, bias, epsilon, y, means, inverses);
}
template <>
void layer_norm(std::int64_t rows, std::int64_t width, const double* x, const double* weight, const double* bias,
                double epsilon, double* y, double* means, double* inverses) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(layer_norm_double)(rows, width, x, weight, bias, epsilon, y, means, inverses);
}
template <>
void layer_norm_gradient(std::int64_t rows, std::int64_t width, const float* x, const float* weight, const float* means,
                         const float* inverses, const float* dy, const float* besides, float* dx, float* d_weight,
                         float* d_bias) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(layer_norm_gradient_float)
  (rows, width, x, weight, means, inverses, dy, besides, dx, d_weight, d_bias);
}
template <>
void layer_norm_gradient(std::int64_t rows, std::int64_t width, const double* x, const double* weight,
                         const double* means, const double* inverses, const double* dy, const double* besides,
                         double* dx, double* d_weight, double* d_bias) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(layer_norm_gradient_double)
  (rows, width, x, weight, means, inverses, dy, besides, dx, d_weight, d_bias);
}
template <>
void column_sums(std::int64_t rows, std::int64_t width, const float* g, float* sums) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(column_sums_float)(rows, width, g, sums);
}
template <>
void column_sums(std::int64_t rows, std::int64_t width, const double* g, double* sums) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(column_sums_double)(rows, width, g, sums);
}
template <>
void times_slopes(std::int64_t rows, std::int64_t width, const float* g, const float* slopes, float* product,
                  float* sums) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(times_slopes_float)(rows, width, g, slopes, product, sums);
}
template <>
void times_slopes(std::int64_t rows, std::int64_t width, const double* g, const double* slopes, double* product,
                  double* sums) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(times_slopes_double)(rows, width, g, slopes, product, sums);
}
template <>
double cross_entropy(std::int64_t rows, std::int64_t width, const float* z, const std::int64_t* targets,
                     const float* weights, float* dz) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(cross_entropy_float)(rows, width, z, targets, weights, dz);
}
template <>
double cross_entropy(std::int64_t rows, std::int64_t width, const double* z, const std::int64_t* targets,
                     const double* weights, double* dz) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(cross_entropy_double)(rows, width, z, targets, weights, dz);
}

}  // namespace polariscope::models
#endif  // HWY_ONCE
