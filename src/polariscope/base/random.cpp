// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) from the Random123 library, as streams of numbers.
#include "polariscope/base/random.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

namespace polariscope {

RandomStream::RandomStream(std::uint64_t seed, std::uint64_t stream, std::uint64_t block)
    : seed_(seed), stream_(stream), block_(block) {}

std::uint32_t RandomStream::bits() {
  if (used_ == 4) {
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };
    const r123::Philox4x32::ctr_type counter = {{low(block_), high(block_), low(stream_), high(stream_)}};
    const r123::Philox4x32::key_type key = {{low(seed_), high(seed_)}};
    const auto numbers = r123::Philox4x32()(counter, key);
    for (std::size_t i = 0; i < buffer_.size(); ++i) buffer_[i] = numbers[i];
    ++block_;
    used_ = 0;
  }
  return buffer_[static_cast<std::size_t>(used_++)];
}

std::uint64_t RandomStream::bits64() {
  const std::uint64_t low = bits();
  return low | (static_cast<std::uint64_t>(bits()) << 32);
}

double RandomStream::uniform() {
  // Zero is drawn again rather than shifted: adding half a step would round the largest number to 1.
  std::uint64_t numerator = 0;
  do {
    numerator = bits64() >> 11;
  } while (numerator == 0);
  return static_cast<double>(numerator) * 0x1p-53;
}

double RandomStream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2.0 * std::log(uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_normal_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

std::uint64_t RandomStream::below(std::uint64_t count) {
  // The first 2^64 mod count words are refused, which leaves a multiple of count: no bias.
  const std::uint64_t refused = (0 - count) % count;
  std::uint64_t word = 0;
  do {
    word = bits64();
  } while (word < refused);
  return word % count;
}

void RandomStream::fill_normal(std::span<double> out, double scale) {
  for (double& value : out) value = scale * normal();
}

}  // namespace polariscope
