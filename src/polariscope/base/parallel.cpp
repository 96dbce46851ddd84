// Data-parallel loops: threads take the next item from one counter.
#include "polariscope/base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace polariscope {

void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body) {
  std::atomic<std::int64_t> next = 0;
  std::exception_ptr first;
  std::mutex first_mutex;
  const auto work = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::scoped_lock lock(first_mutex);
        if (!first) first = std::current_exception();
        next = count;  // nobody begins another item
      }
    }
  };

  const std::int64_t wanted = std::min<std::int64_t>(count, threads > 0 ? threads : processor_count());
  {
    std::vector<std::jthread> helpers;  // joined at the end of this block; the caller is one of the threads
    try {
      for (std::int64_t helper = 1; helper < wanted; ++helper) helpers.emplace_back(work);
    } catch (const std::system_error&) {
      // The system gives no more threads: those that started do all of the work.
    }
    work();
  }
  if (first) std::rethrow_exception(first);
}

int processor_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  // More processors than the set can hold (1024).
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace polariscope
