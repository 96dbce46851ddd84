#include "polariscope/attention/weights.h"

#include "polariscope/attention/internal/kernels.h"
#include "polariscope/attention/internal/plain_cache.h"
#include "polariscope/attention/internal/validate.h"
#include "polariscope/attention/internal/weights_kernels.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"

namespace polariscope::attention {

template <class T>
void attention_weights(const AttentionInput<T>& given, std::int64_t first, std::int64_t count, T* weights,
                       int threads) {
  validate(given);
  const PlainCache<T> cache(given, threads);
  const AttentionInput<T>& input = cache.input();
  AttentionShape rows = input.shape;
  if (first < 0 || count < 0 || first > rows.queries || count > rows.queries - first) {
    throw Error("weights of {} queries from query {} on: there are {}", count, first, rows.queries);
  }
  rows.queries = count;
  require_array(weights, rows.batch * rows.heads * count * rows.keys, "weights");
  const QueryBlocks blocks(rows, input.causal, attention_lanes<T>());
  parallel_for(blocks.size(), threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    QueryBlock block = blocks[i];
    const std::int64_t row = (block.batch * rows.heads + block.head) * count + block.first;
    block.first += first;
    weights_of_block(input, block, weights + row * rows.keys);
  });
}

template void attention_weights(const AttentionInput<float>&, std::int64_t, std::int64_t, float*, int);
template void attention_weights(const AttentionInput<double>&, std::int64_t, std::int64_t, double*, int);

}  // namespace polariscope::attention
