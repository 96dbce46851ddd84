#include "polariscope/tasks/split.h"

namespace polariscope {

RandomStream example_stream(std::uint64_t seed, Split split, std::int64_t index) {
  const std::uint64_t part = split == Split::kTraining ? 1 : 2;
  return {seed, (part << 62) + static_cast<std::uint64_t>(index)};
}

}  // namespace polariscope
