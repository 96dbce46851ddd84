// The statistics of a materialised row, each by its definition.
#pragma once

#include "polariscope/attention/oracle/internal/row.h"

#include <type_traits>

namespace polariscope::attention::oracle {

// Σ |w|, of which the entropy's π_j = |w_j|/Σ|w| are made.
template <class T>
T absolute_sum(const Row<T>& row) {
  T sum = 0;
  for (const T w : row.w) sum += std::abs(w);
  return sum;
}

// -Σ π log π with 0 log 0 = 0; 0 for a row without any weight.
template <class T>
T entropy(const Row<T>& row) {
  const T sum = absolute_sum(row);
  if (sum < std::numeric_limits<T>::min()) return 0;
  T entropy = 0;
  for (const T w : row.w) {
    const T share = std::abs(w) / sum;
    if (share != 0) entropy -= share * std::log(share);
  }
  return entropy;
}

template <class T>
T mean(const std::vector<T>& x) {
  T sum = 0;
  for (const T value : x) sum += value;
  return sum / static_cast<T>(x.size());
}

// (1/n) Σ (x - mean)^power
template <class T>
T central_moment(const std::vector<T>& x, int power) {
  const T centre = mean(x);
  T sum = 0;
  for (const T value : x) {
    const T off = value - centre;
    sum += power == 2 ? off * off : off * off * off;
  }
  return sum / static_cast<T>(x.size());
}

// Of x over its largest |x|: the same number, and the squares of tiny weights do not vanish.
template <class T>
T skewness(std::vector<T> x, T largest) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  if (*low == *high) return 0;
  for (T& value : x) value /= largest;
  const T variance = central_moment(x, 2);
  return variance == 0 ? 0 : central_moment(x, 3) / (variance * std::sqrt(variance));
}

// Place of the first largest |p|; the row has visible keys.
template <class T>
std::size_t largest_place(const Row<T>& row) {
  std::size_t place = 0;
  for (std::size_t n = 1; n < row.size(); ++n) {
    if (std::abs(row.p[n]) > std::abs(row.p[place])) place = n;
  }
  return place;
}

// What row number `index` of [batch, heads, queries] has to report.
template <class T>
void write_statistics(const reweighting::AttentionForm& form, const Row<T>& row, const RowStatistics<T>& to,
                      std::int64_t index) {
  T frobenius = 0, maximum = 0, first_key = 0, first_visible = 0, row_sum = 0, log_sum_exp = 0;
  T logit_mean = 0, logit_variance = 0, logit_maximum = 0, skew = 0;
  std::int64_t argmax = -1;
  T entropy_nats = entropy(row);
  if (row.keys.empty()) {
    if (is_softmax(form)) {
      const bool has_sink = form.normaliser == reweighting::Normaliser::kSumAndSink;
      log_sum_exp = has_sink ? row.sink : -std::numeric_limits<T>::infinity();
    }
  } else if (row.non_finite) {
    entropy_nats = frobenius = maximum = first_key = first_visible = row_sum = log_sum_exp = logit_mean =
        logit_variance = logit_maximum = skew = std::numeric_limits<T>::quiet_NaN();
  } else {
    for (const T p : row.p) frobenius += p * p;
    const std::size_t place = largest_place(row);
    maximum = std::abs(row.p[place]);
    argmax = row.keys[place];
    if (row.keys.front() == 0) first_key = row.p.front();
    first_visible = row.p.front();
    row_sum = is_softmax(form) ? row.sum * row.inverse : row.sum / row.unit;
    if (is_softmax(form)) log_sum_exp = row.shift + std::log(row.sum + row.sink_weight);
    logit_mean = mean(row.z);
    logit_variance = central_moment(row.z, 2);
    logit_maximum = *std::max_element(row.z.begin(), row.z.end());
    skew = skewness(row.p, maximum);
  }
  const auto write = [index](auto* array, auto value) {
    if (array != nullptr) array[index] = static_cast<std::remove_reference_t<decltype(*array)>>(value);
  };
  write(to.entropy, entropy_nats);
  write(to.sum_of_squares, frobenius);
  write(to.maximum, maximum);
  write(to.argmax, argmax);
  write(to.first_key, first_key);
  write(to.first_visible_key, first_visible);
  write(to.row_sum, row_sum);
  write(to.log_sum_exp, log_sum_exp);
  write(to.logit_mean, logit_mean);
  write(to.logit_variance, logit_variance);
  write(to.logit_maximum, logit_maximum);
  write(to.skewness, skew);
  write(to.visible, row.size());
  write(to.non_finite, row.non_finite);
}

}  // namespace polariscope::attention::oracle
