// Which random numbers an example of a task is made of.
#pragma once

#include "polariscope/base/random.h"

#include <cstdint>

namespace polariscope::tasks {

// No example of training shares a random number with one of evaluation.
enum class Split { kTraining, kEvaluation };

// Example `index` (in [0, 2^62)) of a split has a stream of its own, so it is the same in whatever batch or order it is
// asked for. Streams below 2^62 are left to other uses of the same seed.
std::uint64_t example_stream_number(Split split, std::int64_t index);
RandomStream example_stream(std::uint64_t seed, Split split, std::int64_t index);

}  // namespace polariscope::tasks
