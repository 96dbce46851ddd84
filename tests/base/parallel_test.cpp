#include "polariscope/base/parallel.h"

#include "polariscope/base/denormals.h"
#include "polariscope/base/error.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace polariscope {
namespace {

// Calls visit() once on each of `threads` threads at the same time.
void on_each_of(int threads, const std::function<void()>& visit) {
  std::atomic<int> there = 0;
  parallel_for(threads, threads, [&](std::int64_t) {
    ++there;
    while (there < threads) std::this_thread::yield();  // ends only if all items run at once
    visit();
  });
}

std::set<std::thread::id> threads_of_a_loop(int threads) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  on_each_of(threads, [&] {
    const std::scoped_lock lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  return seen;
}

double processor_seconds() {
  std::timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

TEST(ParallelFor, CallsTheBodyOnceForEveryIndex) {
  for (const int threads : {0, 1, 2, 5}) {
    for (const std::int64_t count : {0, 1, 4, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      parallel_for(count, threads, [&](std::int64_t i) { ++calls.at(static_cast<std::size_t>(i)); });
      for (const auto& times : calls) EXPECT_EQ(times, 1) << threads << " threads, " << count << " items";
    }
  }
}

TEST(ParallelFor, RunsInOrderOnTheCallersThreadWhenThereIsOnlyOne) {
  std::vector<std::int64_t> order;
  const auto caller = std::this_thread::get_id();
  parallel_for(5, 1, [&](std::int64_t i) {
    order.push_back(i);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  });
  EXPECT_EQ(order, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
}

TEST(ParallelFor, UsesAsManyThreadsAsAsked) { EXPECT_EQ(threads_of_a_loop(3).size(), 3U); }

TEST(ParallelFor, KeepsAThreadsOwnStorageFromCallToCall) {
  thread_local int calls = 0;  // starts anew in a new thread
  for (int call = 1; call < 10; ++call) {
    on_each_of(4, [&] { EXPECT_EQ(++calls, call); });
    EXPECT_THROW(parallel_for(100, 4, [](std::int64_t) { throw Error("not kept"); }), Error);
  }
  on_each_of(2, [] { EXPECT_EQ(++calls, 10); });
}

TEST(ParallelFor, MayBeCalledInsideABodyWhichHasThreadsOfItsOwnThen) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  on_each_of(3, [&] {
    const std::set<std::thread::id> inner = threads_of_a_loop(3);
    EXPECT_TRUE(inner.contains(std::this_thread::get_id()));
    const std::scoped_lock lock(mutex);
    seen.insert(inner.begin(), inner.end());
  });
  EXPECT_GE(seen.size(), 3U);
}

TEST(ParallelFor, MayBeCalledFromManyThreadsAtOnce) {
  std::vector<std::jthread> callers;
  std::atomic<std::int64_t> wrong = 0;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (std::int64_t count = 0; count < 500; ++count) {
        std::atomic<std::int64_t> sum = 0;
        parallel_for(count, 3, [&](std::int64_t i) { sum += i; });
        if (sum != count * (count - 1) / 2) ++wrong;
      }
    });
  }
  callers.clear();
  EXPECT_EQ(wrong, 0);
}

TEST(ParallelFor, GivesEveryThreadTheCallersFloatingPointMode) {
  const auto flushing = [] {
    std::atomic<int> count = 0;
    on_each_of(4, [&] {
      volatile float smallest = std::numeric_limits<float>::min();
      if (smallest * 0.5F == 0.0F) ++count;
    });
    return count.load();
  };
  EXPECT_EQ(flushing(), 0);
  {
    const FlushDenormals flush;
    EXPECT_EQ(flushing(), 4);
  }
  EXPECT_EQ(flushing(), 0);
}

TEST(ParallelFor, LeavesSignalsToTheThreadsThatAreThereWithoutIt) {
  const auto caller = std::this_thread::get_id();
  on_each_of(3, [&] {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    EXPECT_EQ(sigismember(&blocked, SIGINT), std::this_thread::get_id() == caller ? 0 : 1);
    EXPECT_EQ(sigismember(&blocked, SIGSEGV), 0);
  });
}

TEST(ParallelFor, CostsNothingBetweenLoops) {
  on_each_of(4, [] {});
  const double before = processor_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(processor_seconds() - before, 0.02) << "four threads spun";
}

TEST(ParallelFor, WorksAndEndsInAChildAfterFork) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer starts no threads in a child";
#endif
  on_each_of(4, [] {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);  // ends a child that hangs
    on_each_of(4, [] {});
    std::exit(threads_of_a_loop(4).size() == 4 ? 0 : 1);  // with everything that a process does at its end
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  EXPECT_EQ(threads_of_a_loop(4).size(), 4U);
}

TEST(ParallelFor, RethrowsAnExceptionAfterAllThreadsStopped) {
  for (const int threads : {1, 4}) {
    std::atomic<int> running = 0;
    std::atomic<int> begun = 0;
    const auto body = [&](std::int64_t i) {
      ++running;
      ++begun;
      if (i == 3) {
        --running;
        throw Error("item {}", i);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      --running;
    };
    try {
      parallel_for(100'000, threads, body);
      FAIL() << "expected an Error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "item 3");
    }
    EXPECT_EQ(running, 0);
    EXPECT_LT(begun, 10'000) << "items were begun long after the failure";
  }
}

TEST(ProcessorCount, IsAtLeastOneAndAtMostThatOfTheMachine) {
  EXPECT_GE(processor_count(), 1);
  EXPECT_LE(processor_count(), static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
}

}  // namespace
}  // namespace polariscope
