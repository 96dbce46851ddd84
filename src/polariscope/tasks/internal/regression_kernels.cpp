#include "polariscope/tasks/internal/regression_kernels.h"

#include "polariscope/reweighting/simd_target.h"

#include <hwy/aligned_allocator.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "polariscope/tasks/internal/regression_kernels.cpp"
// foreach_target.h must come before everything that is compiled once per target.
// clang-format off
#include <hwy/foreach_target.h>

#include "polariscope/tasks/internal/normal-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace polariscope::tasks {
namespace HWY_NAMESPACE {

// One vector of examples, a stream a lane, of which `count` are stored.
// drawn: [normals, lanes], room for two more than are needed.
void draw_vector(const InContextRegressionOptions& options, std::uint64_t seed, std::uint64_t first_stream, int count,
                 float* drawn, float* tokens, float* targets) {
  const hn::ScalableTag<float> d;
  const std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d));
  const std::ptrdiff_t features = options.features, width = features + 1;
  const std::ptrdiff_t size = options.tokens * width;
  const NormalStreams<decltype(d)> streams(seed, first_stream);
  const std::ptrdiff_t normals = features * (options.tokens + 1);
  for (std::ptrdiff_t i = 0; i < normals; i += 2) {
    streams.pair(static_cast<std::uint64_t>(i / 2), drawn + i * lanes, drawn + (i + 1) * lanes);
  }
  float* y_of = drawn + (normals + 1) * lanes;
  for (std::ptrdiff_t token = 0; token < options.tokens; ++token) {
    const float* x = drawn + features * (token + 1) * lanes;
    auto y = hn::Zero(d);
    for (std::ptrdiff_t c = 0; c < features; ++c) {
      y = hn::MulAdd(hn::Load(d, drawn + c * lanes), hn::Load(d, x + c * lanes), y);
    }
    hn::Store(y, d, y_of);
    const bool query = token + 1 == options.tokens;
    for (std::ptrdiff_t l = 0; l < count; ++l) {
      float* to = tokens + l * size + token * width;
      for (std::ptrdiff_t c = 0; c < features; ++c) to[c] = x[c * lanes + l];
      to[features] = query ? 0.0F : y_of[l];
      if (query) targets[l] = y_of[l];
    }
  }
}

void draw(const InContextRegressionOptions& options, std::uint64_t seed, std::uint64_t first_stream, std::int64_t count,
          float* tokens, float* targets) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  const std::int64_t normals = std::int64_t{options.features} * (options.tokens + 1);
  const auto drawn = hwy::AllocateAligned<float>(static_cast<std::size_t>((normals + 2) * lanes));
  const std::int64_t size = std::int64_t{options.tokens} * (options.features + 1);
  for (std::int64_t i = 0; i < count; i += lanes) {
    draw_vector(options, seed, first_stream + static_cast<std::uint64_t>(i),
                static_cast<int>(std::min(lanes, count - i)), drawn.get(), tokens + i * size, targets + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::tasks
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace polariscope::tasks {

HWY_EXPORT(draw);

void draw_regression(const InContextRegressionOptions& options, std::uint64_t seed, std::uint64_t first_stream,
                     std::int64_t count, float* tokens, float* targets) {
  reweighting::obey_forced_target();
  HWY_DYNAMIC_DISPATCH(draw)(options, seed, first_stream, count, tokens, targets);
}

}  // namespace polariscope::tasks
#endif  // HWY_ONCE
