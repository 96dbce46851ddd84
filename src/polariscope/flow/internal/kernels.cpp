// One instance of every kernel per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/flow/internal/kernels.h"

#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/flow/internal/kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/flow/internal/field-inl.h"
#include "polariscope/flow/internal/logistic-inl.h"
#include "polariscope/flow/internal/quadratic-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::flow {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// Calls run.template operator()<Model, Loss>() for the field's model and loss. Linear and rows are the
// value-softmax model with σ = identity and with T rows.
template <class Run>
HWY_INLINE auto with_kind(const FieldViews& field, const Run& run) {
  switch (field.model) {
    case Model::kReduced:
      return field.loss == Loss::kLogistic ? run.template operator()<Model::kReduced, Loss::kLogistic>()
                                           : run.template operator()<Model::kReduced, Loss::kSquare>();
    case Model::kTied:
      switch (field.loss) {
        case Loss::kLogistic: return run.template operator()<Model::kTied, Loss::kLogistic>();
        case Loss::kSquare: return run.template operator()<Model::kTied, Loss::kSquare>();
        case Loss::kLeastSquares: return run.template operator()<Model::kTied, Loss::kLeastSquares>();
        case Loss::kKl: break;
      }
      return run.template operator()<Model::kTied, Loss::kKl>();
    default:
      switch (field.loss) {
        case Loss::kLogistic: return run.template operator()<Model::kValueSoftmax, Loss::kLogistic>();
        case Loss::kSquare: return run.template operator()<Model::kValueSoftmax, Loss::kSquare>();
        case Loss::kLeastSquares: return run.template operator()<Model::kValueSoftmax, Loss::kLeastSquares>();
        case Loss::kKl: break;
      }
      return run.template operator()<Model::kValueSoftmax, Loss::kKl>();
  }
}

// Functors rather than lambdas: a lambda's body does not inherit the instruction set of this region.
template <class Packet>
struct Descend {
  const FieldViews& views;
  double size;
  std::int64_t count;
  template <Model kModel, Loss kLoss>
  void operator()() const {
    Field<Packet> field(views);
    const auto step = typename Packet::Whole().constant(size);
    for (std::int64_t i = 0; i < count; ++i) field.template step<kModel, kLoss>(step);
  }
};

struct Evaluate {
  const FieldViews& views;
  double log_scale;
  template <Model kModel, Loss kLoss>
  double operator()() const {
    Field<AlongTokens> field(views);
    const AlongTokens::Whole math;
    return hn::GetLane(field.template evaluate<kModel, kLoss, true>(math.constant(log_scale)));
  }
};

using DescendKernel = void (*)(const FieldViews&, double, std::int64_t);

template <class Packet, bool kFull>
void descend_logistic_row(const FieldViews& views, double step, std::int64_t count) {
  static constexpr auto kKernels = std::apply(
      [](auto... row) {
        return std::array<DescendKernel, sizeof...(row)>{&descend_logistic<Packet, decltype(row), kFull>...};
      },
      kTable);
  kKernels[views.reweighting](views, step, count);
}

template <class Packet>
void descend_quadratic_row(const FieldViews& views, double step, std::int64_t count) {
  static constexpr auto kKernels = std::apply(
      [](auto... row) {
        return std::array<DescendKernel, sizeof...(row)>{&descend_quadratic<Packet, decltype(row)>...};
      },
      kTable);
  kKernels[views.reweighting](views, step, count);
}

template <class Packet>
void descend(const FieldViews& views, double step, std::int64_t count) {
  const bool quadratic = views.loss == Loss::kSquare || views.loss == Loss::kLeastSquares;
  const bool fused = views.rows == 1 && views.model != Model::kTied;
  if (fused && views.loss == Loss::kLogistic) {
    if (views.model == Model::kReduced) return descend_logistic_row<Packet, false>(views, step, count);
    return descend_logistic_row<Packet, true>(views, step, count);
  }
  if (fused && quadratic && views.model != Model::kReduced) return descend_quadratic_row<Packet>(views, step, count);
  with_kind(views, Descend<Packet>{views, step, count});
}

void descend_along(const FieldViews& views, double step, std::int64_t count) {
  descend<AlongTokens>(views, step, count);
}
void descend_across(const FieldViews& views, double step, std::int64_t count) {
  descend<AcrossTrajectories>(views, step, count);
}
double evaluate_along(const FieldViews& views, double log_scale) {
  return with_kind(views, Evaluate{views, log_scale});
}
int target_lanes() { return VectorMath::lanes(); }
std::int64_t target_bits() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::flow
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::flow {

HWY_EXPORT(descend_along);
HWY_EXPORT(descend_across);
HWY_EXPORT(evaluate_along);
HWY_EXPORT(target_lanes);
HWY_EXPORT(target_bits);

int simd_lanes() {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(target_lanes)();
}
std::string simd_target() {
  reweighting::obey_forced_target();
  return hwy::TargetName(HWY_DYNAMIC_DISPATCH(target_bits)());
}
void descend_along_tokens(const FieldViews& field, double step, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(descend_along)(field, step, count);
}
void descend_across_trajectories(const FieldViews& field, double step, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(descend_across)(field, step, count);
}
double evaluate_along_tokens(const FieldViews& field, double log_scale) {
  return HWY_DYNAMIC_DISPATCH(evaluate_along)(field, log_scale);
}

}  // namespace polariscope::flow
#endif  // HWY_ONCE
