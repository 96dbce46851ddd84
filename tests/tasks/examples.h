// Examples of a task, drawn for a test.
#pragma once

#include "support/complaint.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

namespace polariscope::testing {

template <class Number>
struct Examples {
  std::vector<Number> tokens, targets;
  bool operator==(const Examples&) const = default;
};

// `tokens_each` and `targets_each` numbers of every example.
template <class Number, class Task>
Examples<Number> examples_of(const Task& task, std::int64_t first, std::int64_t count, std::int64_t tokens_each,
                             std::int64_t targets_each) {
  Examples<Number> drawn{std::vector<Number>(count * tokens_each), std::vector<Number>(count * targets_each)};
  task.fill(first, count, std::span(drawn.tokens), std::span(drawn.targets));
  return drawn;
}

// Examples [0, 100) one by one from the last, and in batches of 7, are those of one call.
template <class Number, class Task>
void expect_the_same_in_any_order(const Task& task, std::int64_t tokens_each, std::int64_t targets_each) {
  const Examples<Number> at_once = examples_of<Number>(task, 0, 100, tokens_each, targets_each);
  for (const std::int64_t batch : {1, 7}) {
    for (std::int64_t first = 100 - batch; first >= 0; first -= batch) {
      const auto part = examples_of<Number>(task, first, batch, tokens_each, targets_each);
      const auto cut = [&](const std::vector<Number>& all, std::int64_t each) {
        return std::vector<Number>(all.begin() + first * each, all.begin() + (first + batch) * each);
      };
      EXPECT_EQ(part.tokens, cut(at_once.tokens, tokens_each)) << "first " << first << ", batch " << batch;
      EXPECT_EQ(part.targets, cut(at_once.targets, targets_each)) << "first " << first << ", batch " << batch;
    }
  }
}

// Σ (seen - expected)²/expected of counts that should be even.
inline double chi_squared(const std::vector<int>& counts) {
  double total = 0.0, sum = 0.0;
  for (const int count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

}  // namespace polariscope::testing
