// XXH64 of bytes that come in pieces: to know gigabytes again at the speed of memory, not against an adversary.
// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace polariscope {

class Xxh64 {
 public:
  void add(std::string_view bytes);
  // Of all that was added, with seed 0; more may be added after it.
  std::uint64_t value() const;

 private:
  static constexpr std::size_t kStripe = 32;

  std::array<std::uint64_t, 4> lanes_ = {0x60ea27eeadc0b5d6, 0xc2b2ae3d27d4eb4f, 0, 0x61c8864e7a143579};
  std::array<char, kStripe> rest_ = {};  // what does not fill a stripe yet
  std::size_t held_ = 0;                 // bytes of it
  std::uint64_t added_ = 0;
};

std::uint64_t xxh64(std::string_view bytes);

}  // namespace polariscope
