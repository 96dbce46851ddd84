#include "polariscope/audit/internal/key_measures.h"

#include "polariscope/attention/weights.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/quantiles.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace polariscope::audit {
namespace {

constexpr double kSupportMass = 0.9;

template <class T>
double norm_of(const T* x, std::int64_t width) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < width; ++i) sum += static_cast<double>(x[i]) * x[i];
  return std::sqrt(sum);
}

// Of rows of one head.
template <class T>
std::vector<double> norms_of(const attention::HeadsView<const T>& of, std::int64_t head, std::int64_t rows,
                             std::int64_t width) {
  std::vector<double> norms(rows);
  for (std::int64_t i = 0; i < rows; ++i) norms[i] = norm_of(of.row(0, head, i), width);
  return norms;
}

void add_all(const std::vector<double>& values, metrics::Mean& to) {
  for (const double value : values) to.add(value);
}

// The least number of weights, the largest first, with that share of their sum; reorders them.
template <class T>
std::int64_t support_of(std::span<T> weights) {
  double sum = 0.0, found = 0.0;
  for (const T weight : weights) sum += weight;
  std::ranges::make_heap(weights);
  std::int64_t keys = 0;
  for (auto end = weights.end(); end != weights.begin() && found < kSupportMass * sum; ++keys) {
    std::ranges::pop_heap(weights.begin(), end);
    found += *--end;
  }
  return keys;
}

void keep_sink(const SinkKey& sink, std::vector<SinkKey>& kept) {
  const auto place = std::ranges::lower_bound(kept, sink.share, std::greater<>(), &SinkKey::share);
  kept.insert(place, sink);
  if (kept.size() > kLargest) kept.pop_back();
}

std::int64_t equal_leading(std::span<const std::int32_t> ids) {
  return std::ranges::find_if(ids, [&](std::int32_t id) { return id != ids.front(); }) - ids.begin();
}

}  // namespace

template <class T>
void add_norms(const attention::AttentionInput<T>& input, int threads, LayerResult& to) {
  const attention::AttentionShape& shape = input.shape;
  const std::int64_t group = shape.heads / shape.key_heads;
  parallel_for(shape.key_heads, threads, [&](std::int64_t k) {
    const std::vector<double> keys = norms_of(input.key, k, shape.keys, shape.width);
    std::vector<double> values = norms_of(input.value, k, shape.keys, shape.value_width);
    const double first = values.front(), median = median_of(values);
    for (std::int64_t h = k * group; h < (k + 1) * group; ++h) {
      add_all(norms_of(input.query, h, shape.queries, shape.width), to.heads[h].query_norm);
      add_all(keys, to.heads[h].key_norm);
      if (median > 0.0) to.heads[h].first_value_ratio.add(first / median);
    }
  });
}

template <class T>
void add_received(const attention::AttentionInput<T>& input, const MeasuredRows<T>& rows, std::int64_t text,
                  std::span<const std::int32_t> ids, int threads, LayerResult& to) {
  const std::int64_t keys = input.shape.keys;
  std::vector<T> means(input.shape.heads * keys);
  attention::attend_columns(input, rows.shift.data(), rows.inverse.data(), means.data(), threads);
  const std::int64_t leading = equal_leading(ids);
  for (std::int64_t h = 0; h < input.shape.heads; ++h) {
    HeadResult& head = to.heads[h];
    const T* own = means.data() + h * keys;
    const std::int64_t kept = std::min(keys, kReceivedKeys);
    if (std::ssize(head.received) < kept) head.received.resize(kept);
    for (std::int64_t k = 0; k < kept; ++k) head.received[k].add(own[k]);
    double together = 0.0;
    for (std::int64_t k = 0; k < leading; ++k) together += own[k];
    head.leading.add(together);
    for (std::int64_t k = 0; k < keys; ++k) {
      std::int64_t seen_by = input.causal ? keys - k : keys;
      if (input.window > 0) seen_by = std::min(seen_by, input.window);
      if (own[k] > kSinkShare && seen_by >= kSinkRows) keep_sink({text, k, own[k]}, head.sinks);
    }
  }
}

template <class T>
void add_support(const attention::AttentionInput<T>& input, int threads, LayerResult& to) {
  const std::int64_t heads = input.shape.heads, keys = input.shape.keys, rows = input.shape.queries;
  const std::int64_t taken = std::min(rows, kSupportRows);
  std::vector<T> weights(heads * keys);
  for (std::int64_t n = 1; n <= taken; ++n) {
    attention::attention_weights(input, rows * n / taken - 1, 1, weights.data(), threads);
    parallel_for(heads, threads, [&](std::int64_t h) {
      const std::span<T> own(weights.data() + h * keys, keys);
      to.heads[h].support.add(static_cast<double>(support_of(own)));
    });
  }
}

template void add_norms(const attention::AttentionInput<float>&, int, LayerResult&);
template void add_norms(const attention::AttentionInput<double>&, int, LayerResult&);
template void add_received(const attention::AttentionInput<float>&, const MeasuredRows<float>&, std::int64_t,
                           std::span<const std::int32_t>, int, LayerResult&);
template void add_received(const attention::AttentionInput<double>&, const MeasuredRows<double>&, std::int64_t,
                           std::span<const std::int32_t>, int, LayerResult&);
template void add_support(const attention::AttentionInput<float>&, int, LayerResult&);
template void add_support(const attention::AttentionInput<double>&, int, LayerResult&);

}  // namespace polariscope::audit
