// Which instance of a kernel serves a form, and the memory that a thread keeps between calls.

#if defined(POLARISCOPE_ATTENTION_INSTANCES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_ATTENTION_INSTANCES_INL_H_
#undef POLARISCOPE_ATTENTION_INSTANCES_INL_H_
#else
#define POLARISCOPE_ATTENTION_INSTANCES_INL_H_
#endif

#include "polariscope/attention/internal/blocks.h"
#include "polariscope/attention/internal/running-inl.h"
#include "polariscope/attention/internal/with_function-inl.h"
#include "polariscope/attention/rules-inl.h"

#include <optional>

HWY_BEFORE_NAMESPACE();
namespace polariscope::attention {
namespace HWY_NAMESPACE {
using namespace reweighting::HWY_NAMESPACE;

// This thread's of the nth of the blocks that it takes at once, made anew when the shape of heads changes.
template <class T>
const BlockWorkspace<T>& workspace(const AttentionShape& shape, int nth = 0) {
  thread_local std::int64_t width = -1, value_width = -1;
  thread_local std::optional<BlockWorkspace<T>> works[kBlocksAtOnce];
  if (width != shape.width || value_width != shape.value_width) {
    for (std::optional<BlockWorkspace<T>>& work : works) work.reset();
    works[0].emplace(shape, kQuantities);
    width = shape.width;
    value_width = shape.value_width;
  }
  if (!works[nth]) works[nth].emplace(shape, kQuantities, &*works[0]);
  return *works[nth];
}

// Room for `count` numbers, kept by this thread; `slot` tells two apart.
template <class T, int slot>
T* room(std::ptrdiff_t count) {
  thread_local std::ptrdiff_t size = 0;
  thread_local hwy::AlignedFreeUniquePtr<T[]> storage;
  if (size < count) {
    storage = hwy::AllocateAligned<T>(count);
    size = count;
  }
  return storage.get();
}

// Calls run.template operator()<Rule>() for a rule of the whole row.
template <class Run>
void with_rule(reweighting::RowRule rule, const Run& run) {
  switch (rule) {
    case reweighting::RowRule::kClippedSoftmax: return run.template operator()<ClippedSoftmax>();
    case reweighting::RowRule::kSoftpick: return run.template operator()<Softpick>();
    default: return run.template operator()<Entmax>();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::attention
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_ATTENTION_INSTANCES_INL_H_
