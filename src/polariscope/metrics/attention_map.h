// A materialised attention map, as the metrics read it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace polariscope::metrics {

// A view of numbers: weights for most metrics, logits for some. T is float or double.
template <class T>
struct AttentionMap {
  std::span<const T> values = {};  // [samples, heads, queries, keys], row-major
  std::int64_t samples = 0, heads = 0, queries = 0, keys = 0;
  bool causal = false;  // query i stands beside key i + keys - queries and sees no later one
  // [samples], each in [0, keys]: tokens of a sequence that is padded at its end. Empty: none is padded.
  std::span<const std::int64_t> lengths = {};

  std::int64_t length(std::int64_t sample) const {
    return lengths.empty() ? keys : lengths[static_cast<std::size_t>(sample)];
  }

  // The numbers of the keys that a query sees: neither padding nor, under a causal mask, later ones. Empty for a query
  // that is padding itself.
  std::span<const T> row(std::int64_t sample, std::int64_t head, std::int64_t query) const {
    const std::int64_t own = query + keys - queries;
    std::int64_t visible = own < length(sample) ? length(sample) : 0;
    if (causal && visible > own + 1) visible = own < 0 ? 0 : own + 1;
    const std::int64_t index = (sample * heads + head) * queries + query;
    return values.subspan(static_cast<std::size_t>(index * keys), static_cast<std::size_t>(visible));
  }
};

// Throws Error unless shape, values and lengths fit each other. Every metric calls it.
template <class T>
void validate(const AttentionMap<T>& map);

// The same, and queries and keys must be the same tokens. `metric` names who asks.
template <class T>
void validate_self_attention(const AttentionMap<T>& map, std::string_view metric);

}  // namespace polariscope::metrics
