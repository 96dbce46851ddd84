#include "polariscope/base/xxh64.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace polariscope {
namespace {

constexpr std::uint64_t kPrime1 = 0x9e3779b185ebca87;
constexpr std::uint64_t kPrime2 = 0xc2b2ae3d27d4eb4f;
constexpr std::uint64_t kPrime3 = 0x165667b19e3779f9;
constexpr std::uint64_t kPrime4 = 0x85ebca77c2b2ae63;
constexpr std::uint64_t kPrime5 = 0x27d4eb2f165667c5;

static_assert(std::endian::native == std::endian::little, "the numbers of the specification are little-endian");

template <class Number>
std::uint64_t number_at(const char* bytes) {
  Number number = 0;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

std::uint64_t round_of(std::uint64_t lane, std::uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

// Step 2 of the specification; below it steps 3 to 6: lanes joined, the rest taken in, bits mixed.
void take_stripe(std::array<std::uint64_t, 4>& lanes, const char* bytes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = round_of(lanes[i], number_at<std::uint64_t>(bytes + 8 * i));
}

std::uint64_t joined(const std::array<std::uint64_t, 4>& lanes) {
  std::uint64_t sum =
      std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
  for (const std::uint64_t lane : lanes) sum = (sum ^ round_of(0, lane)) * kPrime1 + kPrime4;
  return sum;
}

}  // namespace

void Xxh64::add(std::string_view bytes) {
  added_ += bytes.size();
  if (held_ > 0) {
    const std::size_t taken = std::min(kStripe - held_, bytes.size());
    std::copy_n(bytes.data(), taken, rest_.data() + held_);
    held_ += taken;
    bytes.remove_prefix(taken);
    if (held_ < kStripe) return;
    take_stripe(lanes_, rest_.data());
    held_ = 0;
  }
  std::array<std::uint64_t, 4> lanes = lanes_;  // in registers
  for (; bytes.size() >= kStripe; bytes.remove_prefix(kStripe)) take_stripe(lanes, bytes.data());
  lanes_ = lanes;
  std::copy_n(bytes.data(), bytes.size(), rest_.data());
  held_ = bytes.size();
}

std::uint64_t Xxh64::value() const {
  std::uint64_t hash = (added_ >= kStripe ? joined(lanes_) : kPrime5) + added_;
  const char* at = rest_.data();
  const char* const end = at + held_;
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ round_of(0, number_at<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  for (; end - at >= 4; at += 4) {
    hash = std::rotl(hash ^ number_at<std::uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
  }
  for (; at < end; ++at) hash = std::rotl(hash ^ number_at<std::uint8_t>(at) * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

std::uint64_t xxh64(std::string_view bytes) {
  Xxh64 hash;
  hash.add(bytes);
  return hash.value();
}

}  // namespace polariscope
