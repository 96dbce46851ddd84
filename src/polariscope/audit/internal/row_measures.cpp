#include "polariscope/audit/internal/row_measures.h"

#include "polariscope/metrics/variance_entropy.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace polariscope::audit {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// -Σ p ln p of weights whose shares p/S have the entropy H: S H - S ln S.
double entropy_as_it_is(double of_shares, double sum) {
  return sum > 0.0 ? sum * of_shares - sum * std::log(sum) : 0.0;
}

metrics::Mean& at_position(std::vector<metrics::Mean>& bins, std::int64_t position) {
  const auto bin = static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(position + 1)) - 1);
  if (bins.size() <= bin) bins.resize(bin + 1);
  return bins[bin];
}

void count_in_bin(double relative, std::vector<std::int64_t>& bins) {
  bins.resize(kEntropyBins);
  if (std::isfinite(relative)) ++bins[std::clamp(static_cast<int>(relative * kEntropyBins), 0, kEntropyBins - 1)];
}

}  // namespace

template <class T>
void MeasuredRows<T>::ask(std::int64_t rows, bool second_pass, attention::AttentionOutput<T>& to) {
  for (auto* array : {&entropy, &row_sum, &maximum, &first_key, &first_visible_key, &logit_variance, &logit_maximum}) {
    array->resize(rows);
  }
  visible.resize(rows);
  attention::RowStatistics<T>& statistics = to.statistics;
  statistics.entropy = entropy.data();
  statistics.row_sum = row_sum.data();
  statistics.maximum = maximum.data();
  statistics.first_key = first_key.data();
  statistics.first_visible_key = first_visible_key.data();
  statistics.logit_variance = logit_variance.data();
  statistics.logit_maximum = logit_maximum.data();
  statistics.visible = visible.data();
  if (!second_pass) return;
  shift.resize(rows);
  inverse.resize(rows);
  to.shift = shift.data();
  to.inverse = inverse.data();
}

template <class T>
TextMeans add_rows(MeasuredRows<T>& rows, std::int64_t first, std::int64_t count, bool sums_to_one, HeadResult& to) {
  metrics::Mean relative_entropy, logit_variance;
  for (std::int64_t i = first; i < first + count; ++i) {
    const double of_shares = rows.entropy[i], keys = rows.visible[i];
    const double relative = keys > 1.0 ? of_shares / std::log(keys) : kNone;
    if (!sums_to_one) rows.entropy[i] = static_cast<T>(entropy_as_it_is(of_shares, rows.row_sum[i]));
    to.entropy.add(rows.entropy[i]);
    at_position(to.entropy_by_position, i - first).add(rows.entropy[i]);
    relative_entropy.add(relative);
    count_in_bin(relative, to.relative_entropies);
    to.first_key.add(rows.first_key[i]);
    to.first_visible_key.add(rows.first_visible_key[i]);
    to.flat_share.add(1.0 / keys);
    to.maximum.add(rows.maximum[i]);
    to.sparsity.add(sums_to_one ? rows.maximum[i] : rows.maximum[i] / rows.row_sum[i]);
    to.row_sum.add(rows.row_sum[i]);
    if (keys > 1.0) logit_variance.add(rows.logit_variance[i]);
    to.largest_logit = std::max(to.largest_logit, static_cast<double>(rows.logit_maximum[i]));
  }
  to.relative_entropy.add(relative_entropy);
  to.logit_variance.add(logit_variance);
  return {relative_entropy.value(), logit_variance.value()};
}

double variance_entropy_exponent(const std::vector<TextMeans>& texts) {
  std::vector<double> variances, odds;
  for (const TextMeans& text : texts) {
    if (!(text.relative_entropy < 1.0) || !(text.logit_variance > 0.0)) continue;
    variances.push_back(text.logit_variance);
    odds.push_back(text.relative_entropy / (1.0 - text.relative_entropy));
  }
  return odds.size() < 3 ? kNone : metrics::fit_power_law(variances, odds).exponent;
}

template struct MeasuredRows<float>;
template struct MeasuredRows<double>;
template TextMeans add_rows(MeasuredRows<float>&, std::int64_t, std::int64_t, bool, HeadResult&);
template TextMeans add_rows(MeasuredRows<double>&, std::int64_t, std::int64_t, bool, HeadResult&);

}  // namespace polariscope::audit
