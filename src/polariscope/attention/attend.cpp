#include "polariscope/attention/attend.h"

#include "polariscope/attention/internal/bfloat16.h"
#include "polariscope/attention/internal/decode.h"
#include "polariscope/attention/internal/kernels.h"
#include "polariscope/attention/internal/linear.h"
#include "polariscope/attention/internal/plain_cache.h"
#include "polariscope/attention/internal/validate.h"
#include "polariscope/base/denormals.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <cstddef>
#include <memory>

namespace polariscope::attention {

template <class T>
void attend(const AttentionInput<T>& given, const AttentionOutput<T>& output, int threads) {
  const AttentionShape& shape = given.shape;
  validate(given);
  require_value(given);
  require_array(output.output.data, shape.batch * shape.heads * shape.queries * shape.value_width, "output");
  if (decode_serves(given, output)) return attend_decode(given, output, threads);
  const PlainCache<T> cache(given, threads);
  const AttentionInput<T>& input = cache.input();
  if (linear_serves(input, output) && linear_is_faster(shape, input.causal) && attend_linear(input, output, threads)) {
    return;
  }
  const int lanes = attention_lanes<T>();
  if (is_tiny(input, lanes)) {
    const std::int64_t heads = shape.batch * shape.heads;
    const std::int64_t vectors = (heads + lanes - 1) / lanes;
    // A few vectors of heads at once, each fetching what the next will read; but enough items to share out.
    const std::int64_t many =
        std::clamp<std::int64_t>(vectors / (4 * (threads > 0 ? threads : processor_count())), 1, 16);
    parallel_for((vectors + many - 1) / many, threads, [&](std::int64_t i) {
      const FlushDenormals flush;
      attend_tiny(input, output, i * many * lanes, std::min(heads, (i + 1) * many * lanes));
    });
    return;
  }
  const std::unique_ptr<const Bfloat16Keys> low = bfloat16_keys(input, threads);
  const QueryBlocks blocks(shape, input.causal, lanes, low.get());
  const std::int64_t workers = threads > 0 ? threads : processor_count();  // they take groups in turn, more or less
  const std::int64_t each = blocks.at_once(sizeof(T), workers), per_head = blocks.per_head();
  const std::int64_t groups = (per_head + each - 1) / each, all = shape.batch * shape.heads * groups;
  const auto first_of = [&](std::int64_t group) { return group / groups * per_head + group % groups * each; };
  parallel_for(all, threads, [&](std::int64_t i) {
    const FlushDenormals flush;
    QueryBlock group[kBlocksAtOnce];
    const std::int64_t first = first_of(i), count = std::min(each, per_head - i % groups * each);
    for (std::int64_t b = 0; b < count; ++b) group[b] = blocks[first + b];
    attend_blocks<T>(input, output, {group, static_cast<std::size_t>(count)},
                     blocks[first_of(std::min(i + workers, all - 1))]);
  });
}

template void attend(const AttentionInput<float>&, const AttentionOutput<float>&, int);
template void attend(const AttentionInput<double>&, const AttentionOutput<double>&, int);

}  // namespace polariscope::attention
