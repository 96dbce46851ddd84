// Rows of numbers on this processor, in memory that is used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace polariscope::models {

// Memory for arrays of a few sizes that come and go all the time: what was given back last is taken first, as a cache
// holds it. Safe to use from several threads.
template <class T>
class MemoryPool : public std::enable_shared_from_this<MemoryPool<T>> {
 public:
  // 64-byte aligned, not initialised; returns to the pool when the last owner is gone.
  std::shared_ptr<T> take(std::int64_t count) {
    Block block = reuse(count);
    if (block.data == nullptr) block = {static_cast<T*>(::operator new(count * sizeof(T), kAlignment)), count};
    return std::shared_ptr<T>(block.data, [pool = this->shared_from_this(), block](T*) { pool->give_back(block); });
  }

  // To the system.
  void release_unused() {
    const std::scoped_lock lock(mutex_);
    for (const Block& block : unused_) ::operator delete(block.data, kAlignment);
    unused_.clear();
  }

  MemoryPool() = default;
  ~MemoryPool() { release_unused(); }
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Block {
    T* data = nullptr;
    std::int64_t count = 0;
  };

  Block reuse(std::int64_t count) {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = unused_.size(); i-- > 0;) {
      const Block block = unused_[i];
      if (block.count < count || block.count > 2 * count) continue;
      unused_.erase(unused_.begin() + static_cast<std::ptrdiff_t>(i));
      return block;
    }
    return {};
  }
  void give_back(Block block) {
    const std::scoped_lock lock(mutex_);
    unused_.push_back(block);
  }

  std::mutex mutex_;
  std::vector<Block> unused_;
};

// [rows, width], rows `stride` numbers apart. Copies share their numbers.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t rows = 0, width = 0, stride = 0;
  std::shared_ptr<T> memory = nullptr;

  T* row(std::int64_t i) const { return data + i * stride; }
  Rows part(std::int64_t first, std::int64_t count) const { return {row(first), count, width, stride, memory}; }
  Rows columns(std::int64_t first, std::int64_t count) const { return {data + first, rows, count, stride, memory}; }
};

}  // namespace polariscope::models
