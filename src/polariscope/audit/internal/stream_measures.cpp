#include "polariscope/audit/internal/stream_measures.h"

#include "polariscope/audit/internal/magnitude_median.h"
#include "polariscope/base/parallel.h"
#include "polariscope/metrics/massive_activations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace polariscope::audit {
namespace {

constexpr std::int64_t kRows = 64;  // that a thread takes at once

// Several sums of a row's numbers at once, since one would wait for itself.
template <class T, class Term>
double sum_over(const T* row, std::int64_t width, const Term& term) {
  constexpr std::int64_t kSums = 8;
  std::array<double, kSums> sums{};
  for (std::int64_t i = 0; i + kSums <= width; i += kSums) {
    for (std::int64_t s = 0; s < kSums; ++s) sums[s] += term(static_cast<double>(row[i + s]));
  }
  for (std::int64_t i = width / kSums * kSums; i < width; ++i) sums[0] += term(static_cast<double>(row[i]));
  double sum = 0.0;
  for (const double part : sums) sum += part;
  return sum;
}

template <class Visit>
void for_rows(std::int64_t rows, int threads, const Visit& visit) {
  parallel_for((rows + kRows - 1) / kRows, threads, [&](std::int64_t block) {
    for (std::int64_t r = block * kRows; r < std::min(rows, (block + 1) * kRows); ++r) visit(r);
  });
}

double total(const std::vector<double>& parts) {
  double sum = 0.0;
  for (const double part : parts) sum += part;
  return sum;
}

template <class T>
double kurtosis_of(const models::Rows<T>& x, int threads) {
  const double n = static_cast<double>(x.rows) * static_cast<double>(x.width);
  std::vector<double> second(x.rows), fourth(x.rows);
  for_rows(x.rows, threads, [&](std::int64_t r) { second[r] = sum_over(x.row(r), x.width, std::identity()); });
  const double mean = total(second) / n;
  for_rows(x.rows, threads, [&](std::int64_t r) {
    const auto squared = [&](double value) { return (value - mean) * (value - mean); };
    second[r] = sum_over(x.row(r), x.width, squared);
    fourth[r] = sum_over(x.row(r), x.width, [&](double value) { return squared(value) * squared(value); });
  });
  const double variance = total(second) / n;
  return variance > 0.0 ? total(fourth) / n / (variance * variance) : std::numeric_limits<double>::quiet_NaN();
}

// Those of row r that belong among the largest seen.
template <class T>
void keep_largest(const models::Rows<T>& x, std::int64_t r, std::int64_t text, std::vector<LargeActivation>& kept) {
  const auto smaller = [](const LargeActivation& a, const LargeActivation& b) {
    return std::abs(a.value) > std::abs(b.value);  // the smallest stands first of the heap
  };
  const T* row = x.row(r);
  T most = 0;
  for (std::int64_t i = 0; i < x.width; ++i) most = std::max(most, std::abs(row[i]));
  if (kept.size() == kLargest && static_cast<double>(most) <= std::abs(kept.front().value)) return;
  for (std::int64_t i = 0; i < x.width; ++i) {
    const double value = row[i];
    if (kept.size() == kLargest) {
      if (std::abs(value) <= std::abs(kept.front().value)) continue;
      std::ranges::pop_heap(kept, smaller);
      kept.pop_back();
    }
    kept.push_back({text, r, i, value, 0.0});
    std::ranges::push_heap(kept, smaller);
  }
}

template <class T>
std::int64_t count_above(const models::Rows<T>& x, double limit, int threads) {
  std::vector<double> counts(x.rows);
  for_rows(x.rows, threads, [&](std::int64_t r) {
    counts[r] = sum_over(x.row(r), x.width, [&](double value) { return std::abs(value) >= limit ? 1.0 : 0.0; });
  });
  return static_cast<std::int64_t>(total(counts));
}

}  // namespace

template <class T>
std::vector<double> row_norms(const models::Rows<T>& x, int threads) {
  std::vector<double> norms(x.rows);
  for_rows(x.rows, threads, [&](std::int64_t r) {
    norms[r] = std::sqrt(sum_over(x.row(r), x.width, [](double value) { return value * value; }));
  });
  return norms;
}

template <class T>
StreamMeasures measured_stream(const models::Rows<T>& x, std::int64_t text, int threads) {
  StreamMeasures found;
  found.norms = row_norms(x, threads);
  if (!std::ranges::all_of(found.norms, [](double norm) { return std::isfinite(norm); })) {
    found.kurtosis = found.median = std::numeric_limits<double>::quiet_NaN();
    return found;
  }
  found.kurtosis = kurtosis_of(x, threads);
  found.median = median_magnitude(x, threads);
  for (std::int64_t r = 0; r < x.rows; ++r) keep_largest(x, r, text, found.largest);
  std::ranges::sort(found.largest, std::greater<>(), [](const LargeActivation& of) { return std::abs(of.value); });
  for (LargeActivation& of : found.largest) of.ratio = std::abs(of.value) / found.median;
  const double limit = metrics::massive_from(found.median);
  if (!found.largest.empty() && std::abs(found.largest.front().value) >= limit) {
    found.massive = count_above(x, limit, threads);
  }
  return found;
}

template std::vector<double> row_norms(const models::Rows<float>&, int);
template std::vector<double> row_norms(const models::Rows<double>&, int);
template StreamMeasures measured_stream(const models::Rows<float>&, std::int64_t, int);
template StreamMeasures measured_stream(const models::Rows<double>&, std::int64_t, int);

}  // namespace polariscope::audit
