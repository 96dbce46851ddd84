// Attention over raw arrays, with the statistics of its rows, in memory O(rows).
#pragma once

#include "polariscope/attention/statistics.h"
#include "polariscope/reweighting/attention_form.h"

#include <cstdint>
#include <type_traits>

namespace polariscope::attention {

// The upper half of a float's bits.
using Bfloat16 = std::uint16_t;

// [batch, heads, rows, width] with the width contiguous; strides in elements. Rows need no alignment.
template <class T>
struct HeadsView {
  T* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, row_stride = 0;
  T* row(std::int64_t batch, std::int64_t head, std::int64_t i) const {
    return data + batch * batch_stride + head * head_stride + i * row_stride;
  }
  operator HeadsView<const T>() const requires(!std::is_const_v<T>) {
    return {data, batch_stride, head_stride, row_stride};
  }
};

struct AttentionShape {
  std::int64_t batch = 1;
  std::int64_t heads = 1, key_heads = 1;  // heads is a multiple of key_heads; head h reads key head h/(heads/key_heads)
  std::int64_t queries = 0, keys = 0;
  std::int64_t width = 0, value_width = 0;
};

// A cache of keys and values in pages of `page_keys` rows each, as servers of language models keep it. Key j of a
// sequence is row j % page_keys of the page that its table names, and batch_stride of `key` and `value` is from one
// page to the next.
struct PageTable {
  const std::int32_t* pages = nullptr;  // [batch, ⌈keys/page_keys⌉], each in [0, page_count); null: no pages. Entries
                                        // beyond a sequence's length are not read
  std::int64_t batch_stride = 0;
  std::int64_t page_keys = 0, page_count = 0;
};

// Query i stands beside key i + keys - queries, of its sequence's own keys where lengths are given:
// causal and windowed rows are aligned at the end.
template <class T>
struct AttentionInput {
  reweighting::AttentionForm form;
  AttentionShape shape;
  HeadsView<const T> query, key, value;
  double scale = 1.0;
  bool causal = false;        // keys <= its own; a query before its sequence's first key sees none
  std::int64_t window = 0;    // > 0: only keys less than `window` before its own (and, not causal, after)
  HeadsView<const T> bias;    // added to the scores, [batch, heads, queries, keys]; stride 0 broadcasts; null: none.
                              // Minus infinity hides its key
  const T* slopes = nullptr;  // ALiBi, [heads]: -slope·|distance| is added to the scores
  const T* sink = nullptr;    // z of a sink, [heads], for Normaliser::kSumAndSink; null: 0
  const std::int64_t* key_lengths = nullptr;  // [batch], each in [0, keys]; null: keys
  // Products of numbers rounded to bfloat16, with sums in single precision, where the processor has them, numbers are
  // float, the form has no feature map and no rule of the whole row, and rows are not tiny; else nothing changes.
  // Queries, keys and values that are bfloat16 numbers lose nothing in the scores; weights are rounded where they
  // multiply values, and nowhere else. Gradients are as without.
  bool bfloat16 = false;
  // In place of `key` and `value`, whose data is null then: bfloat16 numbers as they are stored, read once where few
  // queries meet many keys, else widened beforehand.
  HeadsView<const Bfloat16> bfloat16_key = {}, bfloat16_value = {};
  PageTable table = {};
};

template <class T>
struct AttentionOutput {
  HeadsView<T> output;  // [batch, heads, queries, value_width]
  RowStatistics<T> statistics;
  // What the backward pass needs of each row, [batch, heads, queries] each; null where there is none to come.
  // The rules of a whole row need none.
  T* shift = nullptr;  // what the scores were lowered by; of other weights than exponentials, the power of two by which
                       // scores, or those weights, were divided lest their sums overflow, mostly 0
  T* inverse = nullptr;  // 1/n for scores so lowered
  T* mass = nullptr;     // Σ|w| of the keys for scores so lowered; for the gradient of the entropy alone
};

// Throws Error for shapes, lengths or parameters out of range, with what was expected and found.
// threads: 0 for one a processor. Deterministic for a given number of threads.
template <class T>
void attend(const AttentionInput<T>& input, const AttentionOutput<T>& output, int threads = 0);

// The mean weight that each key receives from the queries that see it, [batch, heads, keys]: a second pass
// with the rows' `shift` and `inverse`.
template <class T>
void attend_columns(const AttentionInput<T>& input, const T* shift, const T* inverse, T* column_means, int threads = 0);

// Gradients; null where not wanted. Those of key and value are sums over the query heads that share them.
template <class T>
struct AttentionGradient {
  HeadsView<T> query, key, value;
  HeadsView<T> bias;  // [batch, heads, queries, keys], never broadcast
  T* sink = nullptr;  // [heads]
  // Of the form's parameters (attention_form.h), [heads] each: what comes of a head's rows; 0 of one that the form has
  // not. That of the scale is Σ dq·q/scale where scores are scale·q·k alone; φ's offset has none.
  struct Parameters {
    T* transform_factor = nullptr;  // not of kLogCount at 0
    T* sum_offset = nullptr;
    T* count_power = nullptr;
    T* gamma = nullptr;
    T* zeta = nullptr;
    T* epsilon = nullptr;
    T* alpha = nullptr;
  } parameters = {};
};

// `forward` is what attend() wrote: output, shift and inverse, and of the statistics those whose gradient
// is given (with mass for the entropy, argmax for the maximum, logit_mean and visible for the logits' moments); visible
// for the gradient of count_power.
// d_output: [batch, heads, queries, value_width].
template <class T>
void attend_backward(const AttentionInput<T>& input, const AttentionOutput<T>& forward, HeadsView<const T> d_output,
                     const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient,
                     int threads = 0);

}  // namespace polariscope::attention
