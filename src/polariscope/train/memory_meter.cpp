#include "polariscope/train/memory_meter.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>

namespace polariscope::train {

class MemoryMeter::Count final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t size, std::int64_t, std::int64_t, c10::Device) override {
    there_ += size;  // negative where memory is given back
    most_ = std::max(most_, there_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t most() const { return most_; }

 private:
  std::int64_t there_ = 0, most_ = 0;
};

MemoryMeter::MemoryMeter()
    : count_(std::make_shared<Count>()),
      guard_(std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, count_)) {}
MemoryMeter::~MemoryMeter() = default;

std::int64_t MemoryMeter::most() const { return count_->most(); }

}  // namespace polariscope::train
