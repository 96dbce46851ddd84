// The table itself. A row names its weight function and normaliser as types, so that kernels can be
// compiled for each; adding a re-weighting function is one row here and its functor in functions-inl.h.

#if defined(POLARISCOPE_REWEIGHTING_TABLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_REWEIGHTING_TABLE_INL_H_
#undef POLARISCOPE_REWEIGHTING_TABLE_INL_H_
#else
#define POLARISCOPE_REWEIGHTING_TABLE_INL_H_
#endif

#include "polariscope/reweighting/functions-inl.h"
#include "polariscope/reweighting/reweighting.h"

#include <hwy/highway.h>

#include <limits>
#include <tuple>

HWY_BEFORE_NAMESPACE();
namespace polariscope::reweighting {
namespace HWY_NAMESPACE {

template <class FunctionType, Normaliser kNormaliserOf>
struct TableRow : Reweighting {
  using Function = FunctionType;
  static constexpr Normaliser kNormaliser = kNormaliserOf;
};

// Lipschitz constants: softmax's Jacobian diag(p) - ppᵀ has norm <= 1/2. For p = f/Σf the Jacobian is
// that matrix times diag(f'/f), so 1/2 wherever |f'| <= f; an added sink only takes a sub-block of it.
inline constexpr double kNoLipschitz = std::numeric_limits<double>::infinity();

inline constexpr std::tuple kTable{
    TableRow<ExpFunction, Normaliser::kSum>{{.name = "softmax",
                                             .formula = "e^z / Σ e^z",
                                             .positive = true,
                                             .monotone = true,
                                             .strictly_rising = true,
                                             .shift_invariant = true,
                                             .sums_to_one = true,
                                             .smooth = true,
                                             .lipschitz = 0.5,
                                             .alias = "Softmax",
                                             .colour = "red"}},
    TableRow<SigmoidFunction, Normaliser::kNone>{{.name = "sigmoid",
                                                  .formula = "1 / (1 + e^-z)",
                                                  .positive = true,
                                                  .monotone = true,
                                                  .strictly_rising = true,
                                                  .shift_invariant = false,
                                                  .sums_to_one = false,
                                                  .smooth = true,
                                                  .lipschitz = 0.25,
                                                  .alias = "Sigmoid",
                                                  .colour = "green"}},
    TableRow<SigmoidFunction, Normaliser::kSum>{{.name = "sigmoid/sum",
                                                 .formula = "sigmoid(z) / Σ sigmoid(z)",
                                                 .positive = true,
                                                 .monotone = true,
                                                 .strictly_rising = true,
                                                 .shift_invariant = false,
                                                 .sums_to_one = true,
                                                 .smooth = true,
                                                 .lipschitz = 0.5,
                                                 .alias = "",
                                                 .colour = "green"}},
    TableRow<ReluFunction, Normaliser::kNone>{{.name = "relu",
                                               .formula = "max(z, 0)",
                                               .positive = true,
                                               .monotone = true,
                                               .strictly_rising = false,
                                               .shift_invariant = false,
                                               .sums_to_one = false,
                                               .smooth = false,
                                               .lipschitz = 1.0,
                                               .alias = "",
                                               .colour = "blue"}},
    TableRow<ReluFunction, Normaliser::kSum>{{.name = "relu/sum",
                                              .formula = "max(z, 0) / Σ max(z, 0)",
                                              .positive = true,
                                              .monotone = true,
                                              .strictly_rising = false,
                                              .shift_invariant = false,
                                              .sums_to_one = true,
                                              .smooth = false,
                                              .lipschitz = kNoLipschitz,
                                              .alias = "Relu",
                                              .colour = "blue"}},
    TableRow<Elu1Function, Normaliser::kNone>{{.name = "elu1",
                                               .formula = "elu(z) + 1",
                                               .positive = true,
                                               .monotone = true,
                                               .strictly_rising = true,
                                               .shift_invariant = false,
                                               .sums_to_one = false,
                                               .smooth = true,
                                               .lipschitz = 1.0,
                                               .alias = "",
                                               .colour = "cyan"}},
    TableRow<Elu1Function, Normaliser::kSum>{{.name = "elu1/sum",
                                              .formula = "(elu(z) + 1) / Σ (elu(z) + 1)",
                                              .positive = true,
                                              .monotone = true,
                                              .strictly_rising = true,
                                              .shift_invariant = false,
                                              .sums_to_one = true,
                                              .smooth = true,
                                              .lipschitz = 0.5,
                                              .alias = "",
                                              .colour = "cyan"}},
    TableRow<IdentityFunction, Normaliser::kNone>{{.name = "identity",
                                                   .formula = "z",
                                                   .positive = false,
                                                   .monotone = true,
                                                   .strictly_rising = true,
                                                   .shift_invariant = false,
                                                   .sums_to_one = false,
                                                   .smooth = true,
                                                   .lipschitz = 1.0,
                                                   .alias = "",
                                                   .colour = "grey"}},
    TableRow<IdentityFunction, Normaliser::kSum>{{.name = "identity/sum",
                                                  .formula = "z / Σ z",
                                                  .positive = false,
                                                  .monotone = true,
                                                  .strictly_rising = true,
                                                  .shift_invariant = false,
                                                  .sums_to_one = true,
                                                  .smooth = true,
                                                  .lipschitz = kNoLipschitz,
                                                  .alias = "Sum",
                                                  .colour = "grey"}},
    TableRow<AbsFunction, Normaliser::kSum>{{.name = "abs/sum",
                                             .formula = "|z| / Σ |z|",
                                             .positive = true,
                                             .monotone = false,
                                             .strictly_rising = false,
                                             .shift_invariant = false,
                                             .sums_to_one = true,
                                             .smooth = false,
                                             .lipschitz = kNoLipschitz,
                                             .alias = "L1",
                                             .colour = "violet"}},
    TableRow<SquareFunction, Normaliser::kSum>{{.name = "square/sum",
                                                .formula = "z² / Σ z²",
                                                .positive = true,
                                                .monotone = false,
                                                .strictly_rising = false,
                                                .shift_invariant = false,
                                                .sums_to_one = true,
                                                .smooth = true,
                                                .lipschitz = kNoLipschitz,
                                                .alias = "L2",
                                                .colour = "pink"}},
    TableRow<OneFunction, Normaliser::kSum>{{.name = "uniform",
                                             .formula = "1 / N",
                                             .positive = true,
                                             .monotone = true,
                                             .strictly_rising = false,
                                             .shift_invariant = true,
                                             .sums_to_one = true,
                                             .smooth = true,
                                             .lipschitz = 0.0,
                                             .alias = "",
                                             .colour = "brown"}},
    TableRow<IdentityFunction, Normaliser::kMax1>{{.name = "identity/max1",
                                                   .formula = "z / max(|Σ z|, 1)",
                                                   .positive = false,
                                                   .monotone = true,
                                                   .strictly_rising = true,
                                                   .shift_invariant = false,
                                                   .sums_to_one = false,
                                                   .smooth = false,
                                                   .lipschitz = kNoLipschitz,
                                                   .alias = "",
                                                   .colour = "slate"}},
    TableRow<ExpFunction, Normaliser::kSumAndSink>{{.name = "softmax1",
                                                    .formula = "e^z / (1 + Σ e^z)",
                                                    .positive = true,
                                                    .monotone = true,
                                                    .strictly_rising = true,
                                                    .shift_invariant = false,
                                                    .sums_to_one = false,
                                                    .smooth = true,
                                                    .lipschitz = 0.5,
                                                    .alias = "",
                                                    .colour = "orange"}},
};

inline constexpr int kTableSize = std::tuple_size_v<decltype(kTable)>;

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::reweighting
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_REWEIGHTING_TABLE_INL_H_
