// One instance per instruction set; HWY_DYNAMIC_DISPATCH picks at run time.
#include "polariscope/models/internal/attention_only_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#include <hwy/aligned_allocator.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/models/internal/attention_only_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/models/internal/sequences-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

constexpr int kVectorsOfChunk = 8;

// Room for `count` numbers, kept by this thread.
template <class T>
T* kept_room(std::ptrdiff_t count) {
  thread_local std::ptrdiff_t size = 0;
  thread_local hwy::AlignedFreeUniquePtr<T[]> storage;
  if (size < count) {
    storage = hwy::AllocateAligned<T>(static_cast<std::size_t>(count));
    size = count;
  }
  return storage.get();
}

template <class T>
ChunkSums run(const LayerPlan& plan, const LayerNumbers<T>* numbers, const T* tokens, const T* answers,
              std::int64_t count, std::int64_t batch) {
  Sequences<T> sequences(plan, numbers, kept_room<T>(Sequences<T>::room(plan)));
  for (std::int64_t at = 0; at < count; at += sequences.lanes()) {
    const auto some = static_cast<int>(std::min<std::int64_t>(sequences.lanes(), count - at));
    sequences.add(tokens + at * plan.tokens * kTokenWidth, answers + at, some, batch);
  }
  ChunkSums sums;
  sequences.finish(sums);
  return sums;
}

template <class T>
std::vector<AttentionOnlyMap> maps(const LayerPlan& plan, const LayerNumbers<T>* numbers, const T* tokens) {
  return Sequences<T>(plan, numbers, kept_room<T>(Sequences<T>::room(plan))).maps(tokens);
}

// HWY_EXPORT takes no templates.
int chunk_float() { return kVectorsOfChunk * static_cast<int>(hn::Lanes(hn::ScalableTag<float>())); }
int chunk_double() { return kVectorsOfChunk * static_cast<int>(hn::Lanes(hn::ScalableTag<double>())); }
ChunkSums run_float(const LayerPlan& plan, const LayerNumbers<float>* numbers, const float* tokens,
                    const float* answers, std::int64_t count, std::int64_t batch) {
  return run(plan, numbers, tokens, answers, count, batch);
}
ChunkSums run_double(const LayerPlan& plan, const LayerNumbers<double>* numbers, const double* tokens,
                     const double* answers, std::int64_t count, std::int64_t batch) {
  return run(plan, numbers, tokens, answers, count, batch);
}
std::vector<AttentionOnlyMap> maps_float(const LayerPlan& plan, const LayerNumbers<float>* numbers,
                                         const float* tokens) {
  return maps(plan, numbers, tokens);
}
std::vector<AttentionOnlyMap> maps_double(const LayerPlan& plan, const LayerNumbers<double>* numbers,
                                          const double* tokens) {
  return maps(plan, numbers, tokens);
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::models {

HWY_EXPORT(chunk_float);
HWY_EXPORT(chunk_double);
HWY_EXPORT(run_float);
HWY_EXPORT(run_double);
HWY_EXPORT(maps_float);
HWY_EXPORT(maps_double);

template <>
int sequences_of_chunk<float>() {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(chunk_float)();
}
template <>
int sequences_of_chunk<double>() {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(chunk_double)();
}
template <>
ChunkSums run_chunk(const LayerPlan& plan, const LayerNumbers<float>* numbers, const float* tokens,
                    const float* answers, std::int64_t count, std::int64_t batch) {
  return HWY_DYNAMIC_DISPATCH(run_float)(plan, numbers, tokens, answers, count, batch);
}
template <>
ChunkSums run_chunk(const LayerPlan& plan, const LayerNumbers<double>* numbers, const double* tokens,
                    const double* answers, std::int64_t count, std::int64_t batch) {
  return HWY_DYNAMIC_DISPATCH(run_double)(plan, numbers, tokens, answers, count, batch);
}
template <>
std::vector<AttentionOnlyMap> maps_of_sequence(const LayerPlan& plan, const LayerNumbers<float>* numbers,
                                               const float* tokens) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(maps_float)(plan, numbers, tokens);
}
template <>
std::vector<AttentionOnlyMap> maps_of_sequence(const LayerPlan& plan, const LayerNumbers<double>* numbers,
                                               const double* tokens) {
  reweighting::obey_forced_target();
  return HWY_DYNAMIC_DISPATCH(maps_double)(plan, numbers, tokens);
}

}  // namespace polariscope::models
#endif  // HWY_ONCE
