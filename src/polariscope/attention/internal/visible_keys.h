// Which keys a query sees.
#pragma once

#include "polariscope/attention/attend.h"

#include <algorithm>
#include <limits>

namespace polariscope::attention {

// Keys [first, end); empty ranges are [0, 0).
struct KeyRange {
  std::int64_t first, end;
};

template <class T>
std::int64_t key_length(const AttentionInput<T>& input, std::int64_t batch) {
  return input.key_lengths != nullptr ? input.key_lengths[batch] : input.shape.keys;
}

// The key beside which query i stands; may be negative where a sequence has fewer keys than queries.
template <class T>
std::int64_t own_key(const AttentionInput<T>& input, std::int64_t batch, std::int64_t query) {
  return query + key_length(input, batch) - input.shape.queries;
}

template <class T>
KeyRange visible_keys(const AttentionInput<T>& input, std::int64_t batch, std::int64_t query) {
  const std::int64_t length = key_length(input, batch);
  const std::int64_t own = own_key(input, batch, query);
  std::int64_t first = 0, end = length;
  if (input.window > 0) {
    // Nothing is as far away as there are keys and queries, so that no window overflows.
    const std::int64_t window = std::min(input.window, input.shape.keys + input.shape.queries);
    first = std::max<std::int64_t>(first, own - window + 1);
    end = std::min(end, own + window);
  }
  if (input.causal) end = std::min(end, own + 1);
  return first < end ? KeyRange{first, end} : KeyRange{0, 0};
}

// How many of the keys of a range a query sees: those that its bias does not hide. Of interest to log-n scaling, which
// needs n before it needs a bias; whatever else scales is spared the look.
template <class T>
std::int64_t visible_count(const AttentionInput<T>& input, std::int64_t batch, std::int64_t head, std::int64_t query,
                           const KeyRange& seen) {
  if (input.form.transform != reweighting::Transform::kLogCount || input.bias.data == nullptr)
    return seen.end - seen.first;
  const T* bias = input.bias.row(batch, head, query);
  return std::count_if(bias + seen.first, bias + seen.end,
                       [](T b) { return b != -std::numeric_limits<T>::infinity(); });
}

// The first key that a query sees, of those that its bias does not hide; -1 if it sees none.
template <class T>
std::int64_t first_visible_key(const AttentionInput<T>& input, std::int64_t batch, std::int64_t head,
                               std::int64_t query) {
  const KeyRange seen = visible_keys(input, batch, query);
  std::int64_t key = seen.first;
  if (input.bias.data != nullptr) {
    const T* bias = input.bias.row(batch, head, query);
    key =
        std::find_if(bias + seen.first, bias + seen.end, [](T b) { return b != -std::numeric_limits<T>::infinity(); }) -
        bias;
  }
  return key < seen.end ? key : -1;
}

}  // namespace polariscope::attention
