// One instance of the passes in linear time per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/linear_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/linear_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/linear-inl.h"
#include "polariscope/attention/internal/linear_backward-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

template <class T>
void linear_piece(const LinearTask<T>& task, LinearPass pass, const LinearPiece& piece, const T* base, T* current) {
  if (current != nullptr) std::fill_n(current, task.layout.state_size(pass), T(0));
  switch (pass) {
    case LinearPass::kForward: return LinearForward<T>(task, piece).run(base, current);
    case LinearPass::kQueryGradient: return LinearQueryGradient<T>(task, piece).run(base, current);
    case LinearPass::kKeyGradient: return LinearKeyGradient<T>(task, piece).run(base, current);
  }
}

// HWY_EXPORT takes no templates.
void linear_float(const LinearTask<float>& task, LinearPass pass, const LinearPiece& piece, const float* base,
                  float* current) {
  linear_piece(task, pass, piece, base, current);
}
void linear_double(const LinearTask<double>& task, LinearPass pass, const LinearPiece& piece, const double* base,
                   double* current) {
  linear_piece(task, pass, piece, base, current);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::attention {

HWY_EXPORT(linear_float);
HWY_EXPORT(linear_double);

template <>
void run_linear_piece(const LinearTask<float>& task, LinearPass pass, const LinearPiece& piece, const float* base,
                      float* current) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(linear_float)(task, pass, piece, base, current);
}
template <>
void run_linear_piece(const LinearTask<double>& task, LinearPass pass, const LinearPiece& piece, const double* base,
                      double* current) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(linear_double)(task, pass, piece, base, current);
}

}  // namespace polariscope::attention
#endif  // HWY_ONCE
