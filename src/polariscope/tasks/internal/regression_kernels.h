// Examples of in-context regression, a vector of them at a time, chosen for the processor at run time.
#pragma once

#include "polariscope/tasks/in_context_regression.h"

#include <cstdint>

namespace polariscope::tasks {

// The examples of streams [first_stream, first_stream + count) of `seed`: in single precision the numbers that
// RandomStream draws, w before the x of one token after another. tokens: [count, tokens, features + 1].
void draw_regression(const InContextRegressionOptions& options, std::uint64_t seed, std::uint64_t first_stream,
                     std::int64_t count, float* tokens, float* targets);

}  // namespace polariscope::tasks
