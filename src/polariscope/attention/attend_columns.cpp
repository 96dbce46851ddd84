#include "polariscope/attention/attend.h"
#include "polariscope/attention/internal/bfloat16.h"
#include "polariscope/attention/internal/kernels.h"
#include "polariscope/attention/internal/plain_cache.h"
#include "polariscope/attention/internal/validate.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace polariscope::attention {

// Several, since a block of queries is laid out anew for each item.
constexpr std::int64_t kTilesOfItem = 8;

// Tiles of keys are independent; a rule of the whole row takes all keys of a head at once.
template <class T>
void attend_columns(const AttentionInput<T>& given, const T* shift, const T* inverse, T* column_means, int threads) {
  validate(given);
  const PlainCache<T> cache(given, threads);
  const AttentionInput<T>& input = cache.input();
  const AttentionShape& shape = input.shape;
  if (input.form.rule == reweighting::RowRule::kElementwise) {
    const std::int64_t rows = shape.batch * shape.heads * shape.queries;
    require_array(shift, rows, "shift of the rows");
    require_array(inverse, rows, "inverse of the rows");
  }
  const std::unique_ptr<const Bfloat16Keys> low = bfloat16_keys(input, threads);
  const QueryBlocks blocks(shape, input.causal, attention_lanes<T>(), low.get());
  const bool whole = input.form.rule != reweighting::RowRule::kElementwise;
  const std::int64_t step = whole ? std::max<std::int64_t>(shape.keys, 1) : kTilesOfItem * kTileKeys;
  const std::int64_t tiles = (shape.keys + step - 1) / step;
  parallel_for(shape.batch * shape.heads * tiles, threads, [&](std::int64_t item) {
    const FlushDenormals flush;
    const std::int64_t pair = item / tiles;
    const std::int64_t key = item % tiles * step;
    const int keys = static_cast<int>(std::min(step, shape.keys - key));
    std::vector<double> sums(keys), counts(keys);
    attend_tile_columns(input, shift, inverse, blocks, pair / shape.heads, pair % shape.heads, key, keys, sums.data(),
                        counts.data());
    for (int j = 0; j < keys; ++j) {
      column_means[pair * shape.keys + key + j] = static_cast<T>(counts[j] > 0.0 ? sums[j] / counts[j] : 0.0);
    }
  });
}

template void attend_columns(const AttentionInput<float>&, const float*, const float*, float*, int);
template void attend_columns(const AttentionInput<double>&, const double*, const double*, double*, int);

}  // namespace polariscope::attention
