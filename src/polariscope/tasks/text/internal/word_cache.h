// Ids of words seen before. Words of a language repeat: nine of ten pieces of English are found here.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

// A fixed memory of 2 MiB: a word that finds its places taken displaces one.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 24;  // bytes
  static constexpr std::size_t kMostIds = 8;

  // A word as the cache compares it: padded with zeros.
  struct Key {
    std::array<std::uint64_t, kLongestWord / 8> bytes;
    std::size_t length;
  };
  // `word` has at least one byte and at most kLongestWord.
  static Key key_of(std::string_view word) {
    Key key{{}, word.size()};
    std::memcpy(key.bytes.data(), word.data(), word.size());
    return key;
  }

  // A word and its ids, in one line of the processor's cache.
  struct Slot {
    std::array<std::uint64_t, kLongestWord / 8> bytes;
    std::uint16_t length;  // 0: free
    std::uint16_t count;
    std::array<std::int32_t, kMostIds> ids;
  };

  // nullptr for a word that is not here.
  const Slot* find(const Key& key) const {
    const std::size_t home = home_of(key);
    for (std::size_t way = 0; way < kWays; ++way) {
      const Slot& slot = slots_[(home + way) & (kSlots - 1)];
      if (slot.length == key.length && slot.bytes == key.bytes) return &slot;
    }
    return nullptr;
  }

  void insert(const Key& key, std::span<const std::int32_t> ids) {
    if (ids.size() > kMostIds) return;
    const std::size_t home = home_of(key);
    std::size_t at = home + displaced_++ % kWays;
    for (std::size_t way = 0; way < kWays; ++way) {
      if (slots_[(home + way) & (kSlots - 1)].length == 0) {
        at = home + way;
        break;
      }
    }
    Slot& slot = slots_[at & (kSlots - 1)];
    slot.bytes = key.bytes;
    slot.length = static_cast<std::uint16_t>(key.length);
    slot.count = static_cast<std::uint16_t>(ids.size());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 15;
  static constexpr std::size_t kWays = 4;

  static std::size_t home_of(const Key& key) {
    std::uint64_t hash = key.length;
    for (const std::uint64_t word : key.bytes) {
      hash = (hash ^ word) * 0x9E3779B97F4A7C15;
      hash ^= hash >> 32;
    }
    return hash & (kSlots - 1);
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
  std::size_t displaced_ = 0;
};

}  // namespace polariscope::tasks::text
