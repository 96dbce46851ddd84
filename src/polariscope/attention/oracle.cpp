#include "polariscope/attention/oracle.h"

#include "polariscope/attention/internal/oracle_statistics.h"

namespace polariscope {
namespace {

using oracle::Row;

// visit(batch, head, i, row) for every query, in order.
template <class T, class Visit>
void for_each_row(const AttentionInput<T>& input, Visit visit) {
  const AttentionShape& shape = input.shape;
  for (std::int64_t batch = 0; batch < shape.batch; ++batch) {
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      const std::int64_t key_head = head / (shape.heads / shape.key_heads);
      const std::int64_t keys = oracle::sequence_keys(input, batch);  // what lies behind them is never read
      const std::vector<T> phi_k = oracle::features(input, input.key, batch, key_head, keys);
      const std::vector<T> phi_q = oracle::features(input, input.query, batch, head, shape.queries);
      for (std::int64_t i = 0; i < shape.queries; ++i) {
        visit(batch, head, i, oracle::row_of(input, batch, head, i, &phi_q[i * shape.width], phi_k.data()));
      }
    }
  }
}

}  // namespace

template <class T>
void oracle_attend(const AttentionInput<T>& input, const AttentionOutput<T>& output) {
  const AttentionShape& shape = input.shape;
  for_each_row(input, [&](std::int64_t batch, std::int64_t head, std::int64_t i, const Row<T>& row) {
    const std::int64_t index = (batch * shape.heads + head) * shape.queries + i;
    oracle::write_statistics(input.form, row, output.statistics, index);
    if (output.shift != nullptr) output.shift[index] = row.shift;
    if (output.inverse != nullptr) output.inverse[index] = row.inverse;
    if (output.output.data == nullptr) return;
    T* out = output.output.row(batch, head, i);
    std::fill_n(out, shape.value_width, T(0));
    for (std::size_t n = 0; n < row.size(); ++n) {
      const T* value = input.value.row(batch, head / (shape.heads / shape.key_heads), row.keys[n]);
      for (std::int64_t d = 0; d < shape.value_width; ++d) out[d] += row.p[n] * value[d];
    }
  });
}

template <class T>
void oracle_weights(const AttentionInput<T>& input, T* weights) {
  const AttentionShape& shape = input.shape;
  std::fill_n(weights, shape.batch * shape.heads * shape.queries * shape.keys, T(0));
  for_each_row(input, [&](std::int64_t batch, std::int64_t head, std::int64_t i, const Row<T>& row) {
    T* p = weights + ((batch * shape.heads + head) * shape.queries + i) * shape.keys;
    for (std::size_t n = 0; n < row.size(); ++n) p[row.keys[n]] = row.p[n];
  });
}

template <class T>
void oracle_attend_columns(const AttentionInput<T>& input, T* column_means) {
  const AttentionShape& shape = input.shape;
  const std::int64_t columns = shape.batch * shape.heads * shape.keys;
  std::vector<std::int64_t> queries(columns, 0);  // that see the key
  std::fill_n(column_means, columns, T(0));
  for_each_row(input, [&](std::int64_t batch, std::int64_t head, std::int64_t, const Row<T>& row) {
    for (std::size_t n = 0; n < row.size(); ++n) {
      const std::int64_t column = (batch * shape.heads + head) * shape.keys + row.keys[n];
      column_means[column] += row.p[n];
      ++queries[column];
    }
  });
  for (std::int64_t column = 0; column < columns; ++column) {
    if (queries[column] > 0) column_means[column] /= static_cast<T>(queries[column]);
  }
}

#define POLARISCOPE_INSTANTIATE(T)                                                  \
  template void oracle_attend(const AttentionInput<T>&, const AttentionOutput<T>&); \
  template void oracle_weights(const AttentionInput<T>&, T*);                       \
  template void oracle_attend_columns(const AttentionInput<T>&, T*);
POLARISCOPE_INSTANTIATE(float)
POLARISCOPE_INSTANTIATE(double)
POLARISCOPE_INSTANTIATE(long double)
#undef POLARISCOPE_INSTANTIATE

}  // namespace polariscope
