#include "polariscope/attention/internal/validate.h"

#include "polariscope/base/error.h"

#include <cmath>

namespace polariscope {

template <class T>
void validate(const AttentionInput<T>& input) {
  const AttentionShape& s = input.shape;
  validate(input.form);
  if (s.batch < 0 || s.heads < 0 || s.queries < 0 || s.keys < 0 || s.width < 0 || s.value_width < 0) {
    throw Error("attention over batch {}, heads {}, queries {}, keys {}, width {} and value width {}: none may be negative",
                s.batch, s.heads, s.queries, s.keys, s.width, s.value_width);
  }
  if (s.key_heads < 1 || s.heads % s.key_heads != 0) {
    throw Error("{} heads over {} key heads: the first must be a multiple of the second", s.heads, s.key_heads);
  }
  if (!std::isfinite(input.scale)) throw Error("the scale is {}: it must be a finite number", input.scale);
  if (input.window < 0) throw Error("the window is {}: it must be positive, or 0 for none", input.window);
  // Keys are counted in the numbers they are computed with.
  constexpr std::int64_t kMostKeys = std::int64_t{1} << (sizeof(T) == 4 ? 24 : 53);
  if (s.keys > kMostKeys || s.queries > kMostKeys) {
    throw Error("{} queries and {} keys: at most {} of each", s.queries, s.keys, kMostKeys);
  }
  if (s.width > 65536 || s.value_width > 65536) {
    throw Error("heads of width {} and {}: at most 65536", s.width, s.value_width);
  }
  for (std::int64_t b = 0; input.key_lengths != nullptr && b < s.batch; ++b) {
    if (input.key_lengths[b] < 0 || input.key_lengths[b] > s.keys) {
      throw Error("key length {} of sequence {}: expected 0 to {}, the number of keys", input.key_lengths[b], b, s.keys);
    }
  }
  if (input.sink != nullptr && input.form.normaliser != Normaliser::kSumAndSink) {
    throw Error("attention {} has no sink: leave it out, or choose sink or softmax1", input.form.name);
  }
}

template void validate(const AttentionInput<float>&);
template void validate(const AttentionInput<double>&);

}  // namespace polariscope
