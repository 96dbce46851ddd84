#include "polariscope/attention/internal/plain_cache.h"

#include "polariscope/attention/internal/cache_rows.h"
#include "polariscope/attention/internal/visible_keys.h"
#include "polariscope/base/parallel.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace polariscope::attention {
namespace {

template <class T>
T number_of(T x) {
  return x;
}
template <class T>
T number_of(Bfloat16 x) {
  return static_cast<T>(std::bit_cast<float>(std::uint32_t{x} << 16));
}

// [batch, key_heads, keys, width]; zeros behind a sequence's length.
template <class T, class Stored>
HeadsView<const T> copied(const AttentionInput<T>& input, const HeadsView<const Stored>& from, std::int64_t width,
                          int threads, std::vector<T>& to) {
  const AttentionShape& shape = input.shape;
  const std::int64_t head_stride = shape.keys * width;
  to.assign(shape.batch * shape.key_heads * head_stride, T(0));
  parallel_for(shape.batch * shape.key_heads, threads, [&](std::int64_t pair) {
    const std::int64_t batch = pair / shape.key_heads, length = key_length(input, batch);
    const CacheRows<Stored> rows(from, input.table, batch, pair % shape.key_heads);
    for (std::int64_t key = 0; key < length; ++key) {
      const Stored* row = nullptr;
      rows.find(key, 1, &row);
      std::transform(row, row + width, to.data() + pair * head_stride + key * width,
                     [](Stored x) { return number_of<T>(x); });
    }
  });
  return {to.data(), shape.key_heads * head_stride, head_stride, width};
}

}  // namespace

template <class T>
PlainCache<T>::PlainCache(const AttentionInput<T>& input, int threads) : input_(input) {
  const AttentionShape& shape = input.shape;
  const bool low = input.bfloat16_key.data != nullptr;
  if (!low && input.table.pages == nullptr) return;
  input_.key = low ? copied(input, input.bfloat16_key, shape.width, threads, key_)
                   : copied(input, input.key, shape.width, threads, key_);
  if (low && input.bfloat16_value.data != nullptr) {
    input_.value = copied(input, input.bfloat16_value, shape.value_width, threads, value_);
  } else if (input.value.data != nullptr) {
    input_.value = copied(input, input.value, shape.value_width, threads, value_);
  }
  input_.bfloat16_key = input_.bfloat16_value = {};
  input_.table = {};
}

template class PlainCache<float>;
template class PlainCache<double>;

}  // namespace polariscope::attention
