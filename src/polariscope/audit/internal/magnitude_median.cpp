#include "polariscope/audit/internal/magnitude_median.h"

#include "polariscope/base/parallel.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace polariscope::audit {
namespace {

// Numbers without their sign are in the order of their bits; the first 15 of them say the bucket.
constexpr int kBucketBits = 15;
using Counts = std::vector<std::uint32_t>;

template <class T>
std::uint32_t bucket_of(T x) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr int kShift = 8 * sizeof(T) - 1 - kBucketBits;
  return static_cast<std::uint32_t>(std::bit_cast<Bits>(x) >> kShift) & ((1U << kBucketBits) - 1U);
}

template <class T>
Counts counts_of(const models::Rows<T>& x, int threads) {
  const int parts = threads > 0 ? threads : processor_count();
  std::vector<Counts> counts(parts, Counts(std::size_t{1} << kBucketBits, 0));
  parallel_for(parts, threads, [&](std::int64_t part) {
    Counts& own = counts[part];
    for (std::int64_t r = x.rows * part / parts; r < x.rows * (part + 1) / parts; ++r) {
      for (std::int64_t i = 0; i < x.width; ++i) ++own[bucket_of(x.row(r)[i])];
    }
  });
  for (int part = 1; part < parts; ++part) {
    std::ranges::transform(counts[0], counts[part], counts[0].begin(), std::plus<>());
  }
  return counts[0];
}

// The number of rank `rank` of |x|, from 0.
template <class T>
double ranked(const models::Rows<T>& x, const Counts& counts, std::int64_t rank) {
  std::uint32_t bucket = 0;
  while (rank >= counts[bucket]) rank -= counts[bucket++];
  std::vector<T> candidates;
  candidates.reserve(counts[bucket]);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t i = 0; i < x.width; ++i) {
      if (bucket_of(x.row(r)[i]) == bucket) candidates.push_back(std::abs(x.row(r)[i]));
    }
  }
  std::ranges::nth_element(candidates, candidates.begin() + rank);
  return candidates[rank];
}

}  // namespace

template <class T>
double median_magnitude(const models::Rows<T>& x, int threads) {
  const Counts counts = counts_of(x, threads);
  const std::int64_t count = x.rows * x.width;
  const double upper = ranked(x, counts, count / 2);
  return count % 2 == 1 ? upper : 0.5 * (ranked(x, counts, count / 2 - 1) + upper);
}

template double median_magnitude(const models::Rows<float>&, int);
template double median_magnitude(const models::Rows<double>&, int);

}  // namespace polariscope::audit
