// Counter-based random numbers: the same numbers for any thread count and any order of use.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace polariscope {

// Philox4x32-10 (Salmon et al. 2011) keyed by `seed`; each `stream` is an independent sequence of
// 2^64 blocks, so trajectory i of an ensemble draws from stream i whichever thread runs it.
class RandomStream {
 public:
  // Starts at `block`, each block being four 32-bit words.
  RandomStream(std::uint64_t seed, std::uint64_t stream, std::uint64_t block = 0);

  std::uint32_t bits();
  double uniform();                                       // in (0, 1), 53 bits
  double normal();                                        // N(0, 1), Box-Muller
  std::uint64_t below(std::uint64_t count);               // in [0, count), unbiased; count >= 1
  void fill_normal(std::span<double> out, double scale);  // N(0, scale^2), independent

 private:
  std::uint64_t bits64();

  std::uint64_t seed_, stream_, block_;
  std::array<std::uint32_t, 4> buffer_{};
  int used_ = 4;
  double spare_normal_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace polariscope
