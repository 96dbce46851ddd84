// Attention over LibTorch's tensors, with the statistics of its rows and their gradients. What each statistic
// is: attention/statistics.h; conventions of masks: attention/attend.h. Use from Python: docs/pytorch.md.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)  // what libpolariscope_torch.so lets others call

namespace polariscope::attention {

// Undefined tensors are absent. `bias`, `sink` and `learned` have gradients; `slopes` has none.
struct AttendOptions {
  std::string reweighting = "softmax";  // a name of attention_forms()
  std::optional<double> scale = {};     // 1/√width, or 1 for forms that are not scaled
  bool causal = false;
  std::optional<std::int64_t> window = {};
  at::Tensor bias = {};         // [batch or 1, heads or 1, queries or 1, keys or 1]
  at::Tensor slopes = {};       // [heads]
  at::Tensor sink = {};         // [heads]
  at::Tensor key_lengths = {};  // [batch], whole numbers
  // Of the form, by the names of AttentionForm's members: alpha, gamma, zeta, epsilon, transform_factor,
  // sum_offset, count_power, feature_offset.
  std::vector<std::pair<std::string, double>> parameters = {};
  // [parameters]: the same numbers once more, where they are to have gradients. A feature_offset has none; that of a
  // scale comes by itself if query is multiplied by it and scale is 1.
  at::Tensor learned = {};
};

// Every statistic that the form has, by the names of RowStatistics' members and in their order.
std::vector<std::string> statistics_of(std::string_view reweighting);

// [batch, heads, queries] each, of the type of the computation (argmax and visible: int32, non_finite: bool);
// undefined if not asked for. Those of RowStatisticsGradient have gradients.
struct TensorStatistics {
  at::Tensor entropy, sum_of_squares, maximum, argmax, first_key, row_sum, log_sum_exp, logit_mean, logit_variance,
      logit_maximum, skewness, visible, non_finite, first_visible_key;
  at::Tensor column_means;  // [batch, heads, keys]: the mean weight that a key receives from the queries that see it
};

struct TensorAttention {
  at::Tensor output;  // [batch, heads, queries, value width], of the query's type
  TensorStatistics statistics;
};

// query [batch, heads, queries, width], key [batch, key heads, keys, width], value [batch, key heads, keys, value
// width], on one device, of one type: float32 or float64; bfloat16 and float16 are computed in float32, under autocast
// beside float32 too. Taken as they lie if the width is contiguous. The CPU has kernels; on other devices blocks of
// queries are taken in LibTorch's own operators, and what they make of p is kept for the way back. Derivatives are
// those of reverse mode, once. `statistics` as statistics_of(), or "column_means". Throws Error.
TensorAttention attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                       const AttendOptions& options, const std::vector<std::string>& statistics);

// With every statistic that the form has.
TensorAttention attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                       const AttendOptions& options = {});

// p itself, [batch, heads, queries, keys], 0 where a query does not see a key, on the CPU; for looking at, since it
// is as large as what attend() spares. No gradient.
at::Tensor attention_weights(const at::Tensor& query, const at::Tensor& key, const AttendOptions& options = {});

}  // namespace polariscope::attention

#pragma GCC visibility pop
