#include "polariscope/metrics/attention_map.h"

#include "polariscope/base/error.h"

#include <algorithm>

namespace polariscope::metrics {

template <class T>
void validate(const AttentionMap<T>& map) {
  if (std::min({map.samples, map.heads, map.queries, map.keys}) < 0 ||
      map.values.size() != static_cast<std::size_t>(map.samples * map.heads * map.queries * map.keys)) {
    throw Error("attention map: {} numbers are no [{}, {}, {}, {}] of samples, heads, queries and keys",
                map.values.size(), map.samples, map.heads, map.queries, map.keys);
  }
  if (map.lengths.empty()) return;
  if (map.lengths.size() != static_cast<std::size_t>(map.samples)) {
    throw Error("attention map: {} lengths for {} samples", map.lengths.size(), map.samples);
  }
  for (const std::int64_t length : map.lengths) {
    if (length < 0 || length > map.keys) {
      throw Error("attention map: a length of {}: it must be from 0 to the {} keys", length, map.keys);
    }
  }
}

template <class T>
void validate_self_attention(const AttentionMap<T>& map, std::string_view metric) {
  validate(map);
  if (map.queries != map.keys) {
    throw Error("{}: {} queries and {} keys: it is of attention among the same tokens", metric, map.queries, map.keys);
  }
}

template void validate(const AttentionMap<float>&);
template void validate(const AttentionMap<double>&);
template void validate_self_attention(const AttentionMap<float>&, std::string_view);
template void validate_self_attention(const AttentionMap<double>&, std::string_view);

}  // namespace polariscope::metrics
