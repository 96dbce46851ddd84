// Walks over an attention map, head by head.
#pragma once

#include "polariscope/metrics/attention_map.h"
#include "polariscope/metrics/mean.h"

#include <vector>

namespace polariscope::metrics {

// f(result of its head, row) for every row that sees a key; [heads], each beginning as `start`.
template <class Result, class T, class F>
std::vector<Result> over_rows(const AttentionMap<T>& map, const Result& start, const F& f) {
  validate(map);
  std::vector<Result> heads(static_cast<std::size_t>(map.heads), start);
  for (std::int64_t sample = 0; sample < map.samples; ++sample) {
    for (std::int64_t head = 0; head < map.heads; ++head) {
      for (std::int64_t query = 0; query < map.queries; ++query) {
        const std::span<const T> row = map.row(sample, head, query);
        if (!row.empty()) f(heads[static_cast<std::size_t>(head)], row);
      }
    }
  }
  return heads;
}

// Mean of statistic(row) over every row that sees a key, [heads].
template <class T, class Statistic>
std::vector<Mean> mean_over_rows(const AttentionMap<T>& map, const Statistic& statistic) {
  return over_rows(map, Mean{}, [&](Mean& mean, std::span<const T> row) { mean.add(statistic(row)); });
}

// Mean of statistic(sample, head), [heads].
template <class T, class Statistic>
std::vector<Mean> mean_over_samples(const AttentionMap<T>& map, const Statistic& statistic) {
  validate(map);
  std::vector<Mean> means(static_cast<std::size_t>(map.heads));
  for (std::int64_t sample = 0; sample < map.samples; ++sample) {
    for (std::int64_t head = 0; head < map.heads; ++head) {
      means[static_cast<std::size_t>(head)].add(statistic(sample, head));
    }
  }
  return means;
}

}  // namespace polariscope::metrics
