// Attention maps made by hand and by chance.
#pragma once

#include "polariscope/base/random.h"
#include "polariscope/metrics/attention_map.h"
#include "support/complaint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace polariscope::testing {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Of numbers of order one: some rounding errors of double precision.
constexpr double kRounding = 1e-14;

// One sample and one head, with as many queries as rows of `keys` numbers. `values` must outlive it.
template <class T>
metrics::AttentionMap<T> rows_of(const std::vector<T>& values, std::int64_t keys) {
  const auto queries = keys == 0 ? 0 : static_cast<std::int64_t>(values.size()) / keys;
  return {.values = values, .samples = 1, .heads = 1, .queries = queries, .keys = keys};
}

// Softmax of N(0, sharpness²) logits: positive rows that sum to one.
inline std::vector<double> random_rows(std::int64_t rows, std::int64_t keys, double sharpness, std::uint64_t seed) {
  RandomStream random(seed, 0);
  std::vector<double> weights(rows * keys);
  random.fill_normal(weights, sharpness);
  for (std::int64_t row = 0; row < rows; ++row) {
    double sum = 0.0;
    for (std::int64_t key = 0; key < keys; ++key)
      sum += weights[row * keys + key] = std::exp(weights[row * keys + key]);
    for (std::int64_t key = 0; key < keys; ++key) weights[row * keys + key] /= sum;
  }
  return weights;
}

}  // namespace polariscope::testing
