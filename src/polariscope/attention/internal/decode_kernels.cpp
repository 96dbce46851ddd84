// One instance of decoding per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/attention/internal/bfloat16.h"
#include "polariscope/attention/internal/decode.h"
#include "polariscope/reweighting/simd_target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/attention/internal/decode_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/attention/internal/decode-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {

void decode_item(const AttentionInput<float>& in, const Wanted& wanted, const DecodePlan& plan, const DecodeItem& item,
                 const DecodePartials& partials) {
  if (in.bfloat16_key.data == nullptr) {
    return Decoding<float, float>(in, wanted, plan, item, in.key, in.value).run(plan, partials);
  }
  if (takes_bfloat16(in)) {
    return Decoding<Bfloat16, Bfloat16>(in, wanted, plan, item, in.bfloat16_key, in.bfloat16_value).run(plan, partials);
  }
  Decoding<Bfloat16, float>(in, wanted, plan, item, in.bfloat16_key, in.bfloat16_value).run(plan, partials);
}
void decode_merge(const AttentionInput<float>& in, const AttentionOutput<float>& out, const DecodePlan& plan,
                  std::int64_t first, int count, const DecodePartials& partials) {
  merge_rows(in, out, plan, first, count, partials);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::attention {

HWY_EXPORT(decode_item);
HWY_EXPORT(decode_merge);

void run_decode_item(const AttentionInput<float>& input, const Wanted& wanted, const DecodePlan& plan,
                     const DecodeItem& item, const DecodePartials& partials) {
  HWY_DYNAMIC_DISPATCH(decode_item)(input, wanted, plan, item, partials);
}
void merge_decode_rows(const AttentionInput<float>& input, const AttentionOutput<float>& output, const DecodePlan& plan,
                       std::int64_t first, int count, const DecodePartials& partials) {
  HWY_DYNAMIC_DISPATCH(decode_merge)(input, output, plan, first, count, partials);
}

}  // namespace polariscope::attention
#endif  // HWY_ONCE
