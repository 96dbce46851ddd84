// Bytes of LibTorch's tensors in the processor's memory, as its allocator reports them.
#pragma once

#include <cstdint>
#include <memory>

namespace c10 {
class DebugInfoGuard;
}

namespace polariscope::train {

// Of what this thread makes while the object is there.
class MemoryMeter {
 public:
  MemoryMeter();
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  std::int64_t most() const;  // at once

 private:
  class Count;
  std::shared_ptr<Count> count_;
  std::unique_ptr<c10::DebugInfoGuard> guard_;
};

}  // namespace polariscope::train
