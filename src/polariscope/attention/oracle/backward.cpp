// The reference for gradients: rows are computed anew, and theirs are taken one at a time.
#include "polariscope/attention/oracle/internal/row_gradient.h"
#include "polariscope/attention/oracle/internal/rows.h"
#include "polariscope/attention/oracle/oracle.h"

#include <utility>

namespace polariscope::attention {
namespace {

using oracle::Features;
using oracle::Place;
using oracle::Row;
using oracle::RowGradient;

template <class T>
void clear(const HeadsView<T>& view, const AttentionShape& shape, std::int64_t heads, std::int64_t rows,
           std::int64_t width) {
  if (view.data == nullptr) return;
  for (std::int64_t batch = 0; batch < shape.batch; ++batch) {
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t i = 0; i < rows; ++i) std::fill_n(view.row(batch, head, i), width, T(0));
    }
  }
}

template <class T>
void clear(const AttentionGradient<T>& gradient, const AttentionShape& shape) {
  clear(gradient.query, shape, shape.heads, shape.queries, shape.width);
  clear(gradient.key, shape, shape.key_heads, shape.keys, shape.width);
  clear(gradient.value, shape, shape.key_heads, shape.keys, shape.value_width);
  clear(gradient.bias, shape, shape.heads, shape.queries, shape.keys);
  const auto& p = gradient.parameters;
  for (T* shared :
       {gradient.sink, p.transform_factor, p.sum_offset, p.count_power, p.gamma, p.zeta, p.epsilon, p.alpha}) {
    if (shared != nullptr) std::fill_n(shared, shape.heads, T(0));
  }
}

// What a row owes to numbers that the rows of its head share.
template <class T>
void add_to_shared(const AttentionGradient<T>& to, std::int64_t head, const RowGradient<T>& row) {
  const auto& p = to.parameters;
  const std::pair<T*, T> all[] = {{to.sink, row.sink},
                                  {p.transform_factor, row.transform_factor},
                                  {p.sum_offset, row.sum_offset},
                                  {p.count_power, row.count_power},
                                  {p.gamma, row.gamma},
                                  {p.zeta, row.zeta},
                                  {p.epsilon, row.epsilon},
                                  {p.alpha, row.alpha}};
  for (const auto& [array, due] : all) {
    if (array != nullptr) array[head] += due;
  }
}

// dO·v_j for the visible keys.
template <class T>
std::vector<T> output_times_values(const AttentionInput<T>& input, const Place& at, const Row<T>& row,
                                   const HeadsView<const T>& d_output) {
  std::vector<T> dp(row.size(), T(0));
  if (d_output.data == nullptr) return dp;
  const T* d_out = d_output.row(at.batch, at.head, at.query);
  for (std::size_t n = 0; n < row.size(); ++n) {
    const T* value = input.value.row(at.batch, at.key_head, row.keys[n]);
    for (std::int64_t d = 0; d < input.shape.value_width; ++d) dp[n] += d_out[d] * value[d];
  }
  return dp;
}

// dv_j += p_j dO
template <class T>
void add_to_values(const AttentionInput<T>& input, const Place& at, const Row<T>& row,
                   const HeadsView<const T>& d_output, const HeadsView<T>& d_value) {
  if (d_value.data == nullptr || d_output.data == nullptr) return;
  const T* d_out = d_output.row(at.batch, at.head, at.query);
  for (std::size_t n = 0; n < row.size(); ++n) {
    T* to = d_value.row(at.batch, at.key_head, row.keys[n]);
    for (std::int64_t d = 0; d < input.shape.value_width; ++d) to[d] += row.p[n] * d_out[d];
  }
}

// dq_i += φ'(q_i) scale Σ_j ds_j φ(k_j),   dk_j += φ'(k_j) scale ds_j φ(q_i)
template <class T>
void add_to_queries_and_keys(const AttentionInput<T>& input, const Place& at, const Row<T>& row, const Features<T>& phi,
                             const std::vector<T>& ds, const AttentionGradient<T>& to) {
  const std::int64_t width = input.shape.width;
  const T scale = static_cast<T>(input.scale);
  const T* query = input.query.row(at.batch, at.head, at.query);
  for (std::size_t n = 0; n < row.size(); ++n) {
    const std::int64_t j = row.keys[n];
    const T* key = input.key.row(at.batch, at.key_head, j);
    for (std::int64_t d = 0; d < width; ++d) {
      if (to.query.data != nullptr) {
        const T slope = oracle::feature_slope(input.form, query[d]);
        to.query.row(at.batch, at.head, at.query)[d] += slope * scale * ds[n] * phi.key[j * width + d];
      }
      if (to.key.data != nullptr) {
        const T slope = oracle::feature_slope(input.form, key[d]);
        to.key.row(at.batch, at.key_head, j)[d] += slope * scale * ds[n] * phi.query[at.query * width + d];
      }
    }
  }
}

}  // namespace

template <class T>
void oracle_attend_backward(const AttentionInput<T>& input, HeadsView<const T> d_output,
                            const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient) {
  clear(gradient, input.shape);
  oracle::for_each_row(input, [&](const Place& at, const Features<T>& phi, const Row<T>& row) {
    const RowGradient<T> of_row = oracle::row_gradient(input.form, row, oracle::upstream_of(d_statistics, at.index),
                                                       output_times_values(input, at, row, d_output));
    add_to_values(input, at, row, d_output, gradient.value);
    add_to_queries_and_keys(input, at, row, phi, of_row.s, gradient);
    if (gradient.bias.data != nullptr) {
      T* to = gradient.bias.row(at.batch, at.head, at.query);
      for (std::size_t n = 0; n < row.size(); ++n) to[row.keys[n]] = of_row.s[n];
    }
    add_to_shared(gradient, at.head, of_row);
  });
}

template void oracle_attend_backward(const AttentionInput<float>&, HeadsView<const float>,
                                     const RowStatisticsGradient<float>&, const AttentionGradient<float>&);
template void oracle_attend_backward(const AttentionInput<double>&, HeadsView<const double>,
                                     const RowStatisticsGradient<double>&, const AttentionGradient<double>&);
template void oracle_attend_backward(const AttentionInput<long double>&, HeadsView<const long double>,
                                     const RowStatisticsGradient<long double>&, const AttentionGradient<long double>&);

}  // namespace polariscope::attention
