#include "polariscope/tasks/text/internal/byte_trie.h"

#include <cstddef>

namespace polariscope::tasks::text {
namespace {

constexpr std::int64_t kEmpty = -1;

std::int64_t key_of(std::int32_t node, char byte) { return std::int64_t{node} << 8 | static_cast<unsigned char>(byte); }

}  // namespace

ByteTrie::ByteTrie() : slots_(16, Slot{kEmpty, kNone}), values_(1, kNone), first_(256, kNone) {}

std::size_t ByteTrie::slot_of(std::int64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = (static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15U >> 20) & mask;
  while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask;
  return slot;
}

void ByteTrie::grow() {
  std::vector<Slot> old(slots_.size() * 2, Slot{kEmpty, kNone});
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.key != kEmpty) slots_[slot_of(slot.key)] = slot;
  }
}

std::int32_t ByteTrie::next(std::int32_t node, char byte) const {
  if (node == kRoot) return first_[static_cast<unsigned char>(byte)];
  return slots_[slot_of(key_of(node, byte))].node;
}

void ByteTrie::insert(std::string_view bytes, std::int32_t value) {
  std::int32_t node = kRoot;
  for (const char byte : bytes) {
    std::int32_t after = next(node, byte);
    if (after == kNone) {
      after = static_cast<std::int32_t>(values_.size());
      values_.push_back(kNone);
      if (node == kRoot) {
        first_[static_cast<unsigned char>(byte)] = after;
      } else {
        if (values_.size() * 2 > slots_.size()) grow();
        const std::int64_t key = key_of(node, byte);
        slots_[slot_of(key)] = {key, after};
      }
    }
    node = after;
  }
  auto& stored = values_[static_cast<std::size_t>(node)];
  if (stored == kNone) stored = value;
}

std::int32_t ByteTrie::walk(std::int32_t node, std::string_view bytes) const {
  for (const char byte : bytes) {
    node = next(node, byte);
    if (node == kNone) break;
  }
  return node;
}

ByteTrie::Match ByteTrie::longest(std::string_view text, std::size_t at) const {
  Match best{kNone, 0};
  std::int32_t node = kRoot;
  for (std::size_t end = at; end < text.size();) {
    node = next(node, text[end]);
    if (node == kNone) break;
    ++end;
    if (value(node) != kNone) best = {value(node), end - at};
  }
  return best;
}

}  // namespace polariscope::tasks::text
