// How much memory a piece of work asks for: this program's malloc counts.
#pragma once

#include <cstddef>
#include <functional>

namespace polariscope::bench {

// The most bytes that `work` held at once beyond what was held before, whichever threads asked for them. It runs
// in a thread of its own, so that what threads keep for later is counted too. Not counted: threads' stacks.
std::size_t peak_bytes_of(const std::function<void()>& work);

}  // namespace polariscope::bench
