// Drawing without replacement.
#pragma once

#include "polariscope/base/random.h"

#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace polariscope::tasks {

// Uniform in [0, count), unbiased, from one word (Lemire 2019, arXiv:1805.10941), where RandomStream::below takes two
// words and two divisions. count >= 1.
inline std::uint32_t draw_below(RandomStream& random, std::uint32_t count) {
  for (;;) {
    const std::uint64_t product = std::uint64_t{random.bits()} * count;
    const auto low = static_cast<std::uint32_t>(product);
    // The first 2^32 mod count of the low halves would be one too many.
    if (low >= count || low >= (0 - count) % count) return static_cast<std::uint32_t>(product >> 32);
  }
}

// Different numbers of [0, count).
class DistinctDraws {
 public:
  explicit DistinctDraws(int count) : pool_(static_cast<std::size_t>(count)) {
    std::iota(pool_.begin(), pool_.end(), 0);
  }

  // Fills `out`, of at most `count` numbers, with different ones, each raised by `offset`; every ordered choice is
  // equally likely. It is the beginning of a Fisher-Yates shuffle, which is taken back afterwards: what is drawn
  // depends on `random` alone, not on earlier calls.
  template <class T>
  void draw(RandomStream& random, std::span<T> out, int offset) {
    swapped_.resize(out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      swapped_[i] = i + draw_below(random, static_cast<std::uint32_t>(pool_.size() - i));
      std::swap(pool_[i], pool_[swapped_[i]]);
      out[i] = static_cast<T>(pool_[i] + offset);
    }
    for (std::size_t i = out.size(); i-- > 0;) std::swap(pool_[i], pool_[swapped_[i]]);
  }

 private:
  std::vector<int> pool_;
  std::vector<std::size_t> swapped_;
};

}  // namespace polariscope::tasks
