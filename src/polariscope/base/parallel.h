// Data-parallel loops over independent items.
#pragma once

#include <cstdint>
#include <functional>

namespace polariscope {

// Calls body(i) for every i in [0, count) on up to `threads` threads (0: one per processor), the caller's among them,
// handing out items in order. Items must be independent. Rethrows the first exception after all stopped.
//
// The other threads are the process's, asleep between loops: what a body keeps in thread_local storage is there at the
// next call. Loops may be begun from several threads at once and inside a body, which adds threads to the body's; in a
// child after fork() too. A body finds the caller's floating-point mode (rounding, denormals).
void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body);

// Number of threads that `threads` = 0 stands for: the processors this process may run on.
int processor_count();

}  // namespace polariscope
