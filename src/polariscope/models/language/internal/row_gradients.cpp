// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/models/language/internal/row_gradients.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/models/language/internal/row_gradients.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/models/language/internal/row_gradients-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

template <class T>
constexpr RowGradients<T> kRowGradients{norm_gradients<T>, activate_gradients<T>, gate_gradients<T>, loss_of_rows<T>,
                                        sum_columns<T>};

// HWY_EXPORT takes no templates.
const RowGradients<float>* row_gradients_float() { return &kRowGradients<float>; }
const RowGradients<double>* row_gradients_double() { return &kRowGradients<double>; }

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::models {

HWY_EXPORT(row_gradients_float);
HWY_EXPORT(row_gradients_double);

template <>
const RowGradients<float>& row_gradients() {
  reweighting::obey_forced_target();
  return *HWY_DYNAMIC_DISPATCH(row_gradients_float)();
}
template <>
const RowGradients<double>& row_gradients() {
  reweighting::obey_forced_target();
  return *HWY_DYNAMIC_DISPATCH(row_gradients_double)();
}

}  // namespace polariscope::models
#endif  // HWY_ONCE
