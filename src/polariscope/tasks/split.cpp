#include "polariscope/tasks/split.h"

namespace polariscope::tasks {

std::uint64_t example_stream_number(Split split, std::int64_t index) {
  const std::uint64_t part = split == Split::kTraining ? 1 : 2;
  return (part << 62) + static_cast<std::uint64_t>(index);
}

RandomStream example_stream(std::uint64_t seed, Split split, std::int64_t index) {
  return {seed, example_stream_number(split, index)};
}

}  // namespace polariscope::tasks
