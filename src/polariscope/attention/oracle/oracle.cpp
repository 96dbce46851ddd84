#include "polariscope/attention/oracle/oracle.h"

#include "polariscope/attention/oracle/internal/rows.h"
#include "polariscope/attention/oracle/internal/statistics.h"

namespace polariscope::attention {
namespace {

using oracle::Features;
using oracle::Place;
using oracle::Row;

}  // namespace

template <class T>
void oracle_attend(const AttentionInput<T>& input, const AttentionOutput<T>& output) {
  const std::int64_t value_width = input.shape.value_width;
  oracle::for_each_row(input, [&](const Place& at, const Features<T>&, const Row<T>& row) {
    oracle::write_statistics(input.form, row, output.statistics, at.index);
    if (output.shift != nullptr) output.shift[at.index] = row.shift;
    if (output.inverse != nullptr) output.inverse[at.index] = row.inverse;
    if (output.mass != nullptr) output.mass[at.index] = oracle::absolute_sum(row);
    if (output.output.data == nullptr) return;
    T* out = output.output.row(at.batch, at.head, at.query);
    std::fill_n(out, value_width, T(0));
    for (std::size_t n = 0; n < row.size(); ++n) {
      const T* value = input.value.row(at.batch, at.key_head, row.keys[n]);
      for (std::int64_t d = 0; d < value_width; ++d) out[d] += row.p[n] * value[d];
    }
  });
}

template <class T>
void oracle_weights(const AttentionInput<T>& input, T* weights) {
  const AttentionShape& shape = input.shape;
  std::fill_n(weights, shape.batch * shape.heads * shape.queries * shape.keys, T(0));
  oracle::for_each_row(input, [&](const Place& at, const Features<T>&, const Row<T>& row) {
    for (std::size_t n = 0; n < row.size(); ++n) weights[at.index * shape.keys + row.keys[n]] = row.p[n];
  });
}

template <class T>
void oracle_attend_columns(const AttentionInput<T>& input, T* column_means) {
  const AttentionShape& shape = input.shape;
  const std::int64_t columns = shape.batch * shape.heads * shape.keys;
  std::vector<std::int64_t> queries(columns, 0);  // that see the key
  std::fill_n(column_means, columns, T(0));
  oracle::for_each_row(input, [&](const Place& at, const Features<T>&, const Row<T>& row) {
    for (std::size_t n = 0; n < row.size(); ++n) {
      const std::int64_t column = (at.batch * shape.heads + at.head) * shape.keys + row.keys[n];
      column_means[column] += row.p[n];
      ++queries[column];
    }
  });
  for (std::int64_t column = 0; column < columns; ++column) {
    if (queries[column] > 0) column_means[column] /= static_cast<T>(queries[column]);
  }
}

template void oracle_attend(const AttentionInput<float>&, const AttentionOutput<float>&);
template void oracle_weights(const AttentionInput<float>&, float*);
template void oracle_attend_columns(const AttentionInput<float>&, float*);

template void oracle_attend(const AttentionInput<double>&, const AttentionOutput<double>&);
template void oracle_weights(const AttentionInput<double>&, double*);
template void oracle_attend_columns(const AttentionInput<double>&, double*);

template void oracle_attend(const AttentionInput<long double>&, const AttentionOutput<long double>&);
template void oracle_weights(const AttentionInput<long double>&, long double*);
template void oracle_attend_columns(const AttentionInput<long double>&, long double*);

}  // namespace polariscope::attention
