// A number for bytes, the same on every machine: for names' random streams and for knowing a file again.
#pragma once

#include <cstdint>
#include <string_view>

namespace polariscope {

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), 64 bits: not against an adversary.
constexpr std::uint64_t fingerprint(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash;
}

}  // namespace polariscope
