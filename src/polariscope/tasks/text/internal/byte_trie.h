// A set of byte strings, each with a number, walked byte by byte.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

class ByteTrie {
 public:
  static constexpr std::int32_t kNone = -1;
  static constexpr std::int32_t kRoot = 0;

  ByteTrie();

  // `bytes` must not be empty; an earlier number of the same bytes is kept.
  void insert(std::string_view bytes, std::int32_t value);

  // Node after `byte` of `node`, kNone where no string goes on so.
  std::int32_t next(std::int32_t node, char byte) const;
  // Number of the string that ends at `node`, kNone where none does.
  std::int32_t value(std::int32_t node) const { return values_[static_cast<std::size_t>(node)]; }

  // Node after all of `bytes` from `node`, kNone where no string goes on so.
  std::int32_t walk(std::int32_t node, std::string_view bytes) const;

  struct Match {
    std::int32_t value;
    std::size_t length;
  };
  // The longest string that begins at byte `at`; value kNone and length 0 where none does.
  Match longest(std::string_view text, std::size_t at) const;

  bool empty() const { return values_.size() == 1; }

 private:
  // Open addressing by node and byte; a power of two of slots, at most half of them taken.
  struct Slot {
    std::int64_t key;
    std::int32_t node;
  };
  std::size_t slot_of(std::int64_t key) const;
  void grow();

  std::vector<Slot> slots_;
  std::vector<std::int32_t> values_;  // one per node
  std::vector<std::int32_t> first_;   // after the first byte, 256
};

}  // namespace polariscope::tasks::text
