// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/models/pretrained/internal/row_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/models/pretrained/internal/row_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/models/pretrained/internal/row_kernels-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

template <class T>
constexpr RowKernels<T> kRowKernels{norm_rows<T>, rotate_rows<T>, activate_rows<T>,   gate_rows<T>,  clip_rows<T>,
                                    cap_rows<T>,  add_rows<T>,    add_to_log_sums<T>, square_sums<T>};

// HWY_EXPORT takes no templates.
const RowKernels<float>* row_kernels_float() { return &kRowKernels<float>; }
const RowKernels<double>* row_kernels_double() { return &kRowKernels<double>; }

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::models {

HWY_EXPORT(row_kernels_float);
HWY_EXPORT(row_kernels_double);

template <>
const RowKernels<float>& row_kernels() {
  reweighting::obey_forced_target();
  return *HWY_DYNAMIC_DISPATCH(row_kernels_float)();
}
template <>
const RowKernels<double>& row_kernels() {
  reweighting::obey_forced_target();
  return *HWY_DYNAMIC_DISPATCH(row_kernels_double)();
}

}  // namespace polariscope::models
#endif  // HWY_ONCE
