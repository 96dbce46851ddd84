// Storage for attention tests: strided tensors whose gaps would show, and a problem with its inputs.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

namespace polariscope {

// How GoogleTest prints a form.
inline void PrintTo(const reweighting::AttentionForm& form, std::ostream* out) { *out << form.name; }

}  // namespace polariscope

namespace polariscope::testing {

enum class Layout {
  kHeadsFirst,  // [batch, heads, rows, width]
  kRowsFirst,   // [batch, rows, heads, width], as a model's projections leave it
};

// Rows lie `gap` elements apart and begin at an odd element; what is between them is NaN, so that a kernel
// that reads it is found out, and one that writes it too.
template <class T>
struct Tensor {
  std::vector<T> numbers;
  std::int64_t batch = 0, heads = 0, rows = 0, width = 0;
  std::int64_t batch_stride = 0, head_stride = 0, row_stride = 0;

  Tensor() = default;
  Tensor(std::int64_t sequences, std::int64_t heads_each, std::int64_t rows_each, std::int64_t columns,
         Layout layout = Layout::kHeadsFirst, std::int64_t gap = 0)
      : batch(sequences),
        heads(heads_each),
        rows(rows_each),
        width(columns),
        batch_stride(heads_each * rows_each * (columns + gap)) {
    const std::int64_t padded = width + gap;
    head_stride = layout == Layout::kHeadsFirst ? rows * padded : padded;
    row_stride = layout == Layout::kHeadsFirst ? padded : heads * padded;
    numbers.assign(1 + batch * batch_stride, std::numeric_limits<T>::quiet_NaN());
  }

  bool empty() const { return numbers.empty(); }
  T* row(std::int64_t b, std::int64_t h, std::int64_t i) {
    return numbers.data() + 1 + b * batch_stride + h * head_stride + i * row_stride;
  }
  attention::HeadsView<T> view() {
    if (empty()) return {};
    return {row(0, 0, 0), batch_stride, head_stride, row_stride};
  }
  attention::HeadsView<const T> constant_view() {
    if (empty()) return {};
    return {row(0, 0, 0), batch_stride, head_stride, row_stride};
  }

  template <class Visit>
  void for_each(Visit visit) {
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t h = 0; h < heads; ++h) {
        for (std::int64_t i = 0; i < rows; ++i) {
          for (std::int64_t d = 0; d < width; ++d) visit(row(b, h, i)[d]);
        }
      }
    }
  }
  void fill_normal(RandomStream& random, double scale) {
    for_each([&](T& x) { x = static_cast<T>(scale * random.normal()); });
  }
  // The numbers without the gaps.
  std::vector<T> packed() {
    std::vector<T> all;
    for_each([&](T x) { all.push_back(x); });
    return all;
  }

  bool gaps_are_untouched() const {
    Tensor<T> rest = *this;
    rest.for_each([](T& x) { x = std::numeric_limits<T>::quiet_NaN(); });
    return std::all_of(rest.numbers.begin(), rest.numbers.end(), [](T x) { return std::isnan(x); });
  }

  template <class U>
  Tensor<U> as() const {
    Tensor<U> other;
    other.numbers.assign(numbers.begin(), numbers.end());
    other.batch = batch, other.heads = heads, other.rows = rows, other.width = width;
    other.batch_stride = batch_stride, other.head_stride = head_stride, other.row_stride = row_stride;
    return other;
  }
};

// An input of attention that owns its numbers.
template <class T>
struct Problem {
  reweighting::AttentionForm form;
  attention::AttentionShape shape;
  Tensor<T> query, key, value, bias, d_output;
  std::vector<T> slopes, sink;
  std::vector<std::int64_t> key_lengths;
  double scale = 1.0;
  bool causal = false;
  std::int64_t window = 0;
  bool bias_gradient = true;  // whether it is asked for, also where no bias is given

  attention::AttentionInput<T> input() {
    const auto pointer = [](auto& array) { return array.empty() ? nullptr : array.data(); };
    return {form,   shape,  query.constant_view(), key.constant_view(), value.constant_view(), scale,
            causal, window, bias.constant_view(),  pointer(slopes),     pointer(sink),         pointer(key_lengths)};
  }

  std::int64_t rows() const { return shape.batch * shape.heads * shape.queries; }

  template <class U>
  Problem<U> as() const {
    Problem<U> other;
    other.form = form, other.shape = shape, other.scale = scale, other.causal = causal, other.window = window;
    other.bias_gradient = bias_gradient;
    other.query = query.template as<U>();
    other.key = key.template as<U>();
    other.value = value.template as<U>();
    other.bias = bias.template as<U>();
    other.d_output = d_output.template as<U>();
    other.slopes.assign(slopes.begin(), slopes.end());
    other.sink.assign(sink.begin(), sink.end());
    other.key_lengths = key_lengths;
    return other;
  }
};

// q, k, v and dO from N(0, 1), q times `sharpness`; scores are scaled as the form asks.
template <class T>
Problem<T> random_problem(const reweighting::AttentionForm& form, const attention::AttentionShape& shape,
                          RandomStream& random, Layout layout = Layout::kHeadsFirst, std::int64_t gap = 0,
                          double sharpness = 1.0) {
  Problem<T> problem;
  problem.form = form;
  problem.shape = shape;
  problem.scale = form.scaled ? 1.0 / std::sqrt(static_cast<double>(shape.width)) : 1.0;
  problem.query = Tensor<T>(shape.batch, shape.heads, shape.queries, shape.width, layout, gap);
  problem.key = Tensor<T>(shape.batch, shape.key_heads, shape.keys, shape.width, layout, gap);
  problem.value = Tensor<T>(shape.batch, shape.key_heads, shape.keys, shape.value_width, layout, gap);
  problem.d_output = Tensor<T>(shape.batch, shape.heads, shape.queries, shape.value_width, layout, gap);
  problem.query.fill_normal(random, sharpness);
  problem.key.fill_normal(random, 1.0);
  problem.value.fill_normal(random, 1.0);
  problem.d_output.fill_normal(random, 1.0);
  if (form.learned_sink) {
    for (std::int64_t h = 0; h < shape.heads; ++h) problem.sink.push_back(static_cast<T>(random.normal()));
  }
  return problem;
}

template <class T>
void add_bias(Problem<T>& problem, RandomStream& random) {
  const attention::AttentionShape& shape = problem.shape;
  problem.bias = Tensor<T>(shape.batch, shape.heads, shape.queries, shape.keys);
  problem.bias.fill_normal(random, 1.0);
}

// ALiBi's 2^(-8h/heads).
template <class T>
void add_slopes(Problem<T>& problem) {
  const auto heads = static_cast<double>(problem.shape.heads);
  for (std::int64_t h = 1; h <= problem.shape.heads; ++h) {
    problem.slopes.push_back(static_cast<T>(std::exp2(-8.0 * static_cast<double>(h) / heads)));
  }
}

// Lengths from 0 to all keys.
template <class T>
void add_lengths(Problem<T>& problem, RandomStream& random) {
  for (std::int64_t b = 0; b < problem.shape.batch; ++b) {
    problem.key_lengths.push_back(static_cast<std::int64_t>(random.below(problem.shape.keys + 1)));
  }
}

// A stream of a form's own, whichever others there are.
inline std::uint64_t stream_of(const reweighting::AttentionForm& form) { return fingerprint(form.name); }

// A form's name as GoogleTest wants it.
inline std::string form_name(const ::testing::TestParamInfo<reweighting::AttentionForm>& info) {
  std::string name(info.param.name);
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace polariscope::testing
