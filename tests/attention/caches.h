// A problem's keys and values as caches hold them, and whether what comes of them is the same to the bit.
#pragma once

#include "results.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace polariscope::testing {

inline void expect_same_bits(Forward<float>& a, Forward<float>& b) {
  EXPECT_TRUE(same_bits(a.output.packed(), b.output.packed()));
  for (std::size_t n = 0; n < a.floating.size(); ++n) {
    EXPECT_TRUE(same_bits(a.floating[n], b.floating[n])) << kStatistics<float>[n].name;
  }
  EXPECT_EQ(a.argmax, b.argmax);
  EXPECT_EQ(a.visible, b.visible);
  EXPECT_EQ(a.non_finite, b.non_finite);
}

// Its keys and values as bfloat16 numbers, which those of the problem become, too.
struct LowCache {
  Tensor<attention::Bfloat16> key, value;

  explicit LowCache(Problem<float>& problem) : key(rounded(problem.key)), value(rounded(problem.value)) {}
  attention::AttentionInput<float> input(Problem<float>& problem) {
    attention::AttentionInput<float> input = problem.input();
    input.bfloat16_key = key.constant_view();
    input.bfloat16_value = value.constant_view();
    input.key = input.value = {};
    return input;
  }
  static Tensor<attention::Bfloat16> rounded(Tensor<float>& from) {
    Tensor<attention::Bfloat16> to;
    to.batch_stride = from.batch_stride, to.head_stride = from.head_stride, to.row_stride = from.row_stride;
    to.batch = from.batch, to.heads = from.heads, to.rows = from.rows, to.width = from.width;
    for (float& x : from.numbers) {
      const auto bits = std::bit_cast<std::uint32_t>(x) & 0xffff0000U;
      x = std::bit_cast<float>(bits);
      to.numbers.push_back(static_cast<attention::Bfloat16>(bits >> 16));
    }
    return to;
  }
};

// The same numbers in pages that stand in any order, one of them used by none.
template <class T>
struct Pages {
  std::vector<T> key, value;
  std::vector<std::int32_t> pages;
  attention::PageTable table;
  attention::HeadsView<const T> key_view, value_view;

  Pages(const attention::AttentionShape& shape, const attention::HeadsView<const T>& keys,
        const attention::HeadsView<const T>& values, std::int64_t page_keys, RandomStream& random) {
    const std::int64_t each = (shape.keys + page_keys - 1) / page_keys, count = shape.batch * each + 1;
    pages.resize(count);
    std::iota(pages.begin(), pages.end(), 0);
    for (std::size_t n = pages.size() - 1; n > 0; --n) std::swap(pages[n], pages[random.below(n + 1)]);
    key_view = fill(shape, keys, shape.width, page_keys, each, count, key);
    value_view = fill(shape, values, shape.value_width, page_keys, each, count, value);
    table = {.pages = pages.data(), .batch_stride = each, .page_keys = page_keys, .page_count = count};
  }
  // [pages, keys of a page, key heads, width]
  attention::HeadsView<const T> fill(const attention::AttentionShape& shape, const attention::HeadsView<const T>& from,
                                     std::int64_t width, std::int64_t page_keys, std::int64_t each, std::int64_t count,
                                     std::vector<T>& to) const {
    const std::int64_t row = shape.key_heads * width;
    to.assign(count * page_keys * row, static_cast<T>(0x7fff));  // NaN as bfloat16
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      for (std::int64_t h = 0; h < shape.key_heads; ++h) {
        for (std::int64_t j = 0; j < shape.keys; ++j) {
          const std::int64_t page = pages[b * each + j / page_keys];
          std::copy_n(from.row(b, h, j), width, to.data() + (page * page_keys + j % page_keys) * row + h * width);
        }
      }
    }
    return {to.data(), page_keys * row, width, row};
  }
};

}  // namespace polariscope::testing
