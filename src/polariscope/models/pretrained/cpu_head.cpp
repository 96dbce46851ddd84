// Logits in blocks of tokens and vocabulary, of which nothing is kept but what was asked for.
#include "polariscope/base/parallel.h"
#include "polariscope/models/pretrained/cpu_operations.h"
#include "polariscope/models/pretrained/internal/one_of_many.h"
#include "polariscope/models/pretrained/internal/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::models {

template <class T>
Predictions CpuOperations<T>::predictions(const Array& x, const TokenBatch& texts) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Predictions predictions;
  predictions.log_likelihoods.assign(x.rows, kNone);
  if (!model_.has_head) return predictions;
  const std::string name(model_.tied_head ? parameter::kEmbedding : parameter::kHead);
  const std::string bias_name = parameter::bias(parameter::kHead);
  Vector bias;
  if (parameters_.has(bias_name)) load(bias, bias_name);
  if (options_.last_logits) predictions.last_logits.assign(texts.texts(), std::vector<double>(model_.vocabulary));

  std::vector<std::int64_t> text_of_last(x.rows, -1);  // of rows that are the last of a text
  for (std::int64_t t = 0; t < texts.texts(); ++t) text_of_last[texts.start(t) + texts.length(t) - 1] = t;
  const std::vector<std::int32_t> targets = targets_of(model_, texts);
  std::vector<T> most(x.rows, -std::numeric_limits<T>::infinity());
  std::vector<double> sums(x.rows, 0.0), of_target(x.rows, kNone);

  const auto take = [&](const Array& logits, std::int64_t first_row, std::int64_t first) {
    row_kernels<T>().add_to_log_sums(logits.rows, logits.width, {logits.data, logits.stride}, most.data() + first_row,
                                     sums.data() + first_row);
    for (std::int64_t r = 0; r < logits.rows; ++r) {
      const std::int64_t target = targets[first_row + r] - first, text = text_of_last[first_row + r];
      if (target >= 0 && target < logits.width) of_target[first_row + r] = logits.row(r)[target];
      if (text < 0 || !options_.last_logits) continue;
      std::copy_n(logits.row(r), logits.width, predictions.last_logits[text].begin() + first);
    }
  };
  constexpr std::int64_t kBlock = 2048;  // of the vocabulary
  PackedMatrix<T> block;
  for (std::int64_t first = 0; first < model_.vocabulary; first += kBlock) {
    const std::int64_t count = std::min(kBlock, model_.vocabulary - first);
    const auto read = [&](std::int64_t from, std::int64_t some, float* rows) {
      parameters_.read_rows(name, first + from, some, rows);
    };
    block.pack(count, x.width, read, options_.precision, options_.threads);
    for_ranges(x.rows, [&](TokenRange range) {
      const Array logits = make(range.count, count), rows = part(x, range);
      block.multiply(rows.rows, rows.data, rows.stride, nullptr, false, logits.data, logits.stride);
      if (model_.logit_scale != 1.0) scaled(logits, model_.logit_scale);
      if (!bias.empty()) {
        for (std::int64_t r = 0; r < logits.rows; ++r) {
          std::transform(logits.row(r), logits.row(r) + count, bias.begin() + first, logits.row(r), std::plus<>());
        }
      }
      if (model_.logit_cap) {
        row_kernels<T>().cap(static_cast<T>(*model_.logit_cap), logits.rows, count, {logits.data, logits.stride});
      }
      take(logits, range.first, first);
    });
  }
  for (std::int64_t r = 0; r < x.rows; ++r) {
    if (targets[r] >= 0)
      predictions.log_likelihoods[r] = of_target[r] - (static_cast<double>(most[r]) + std::log(sums[r]));
  }
  return predictions;
}

template Predictions CpuOperations<float>::predictions(const Array&, const TokenBatch&);
template Predictions CpuOperations<double>::predictions(const Array&, const TokenBatch&);

}  // namespace polariscope::models
