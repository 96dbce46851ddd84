#include "polariscope/base/parallel.h"

#include "polariscope/base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace polariscope {
namespace {

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

TEST(ParallelFor, UsesAsManyThreadsAsAsked) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::atomic<int> waiting = 0;
  parallel_for(3, 3, [&](std::int64_t) {
    ++waiting;
    while (waiting < 3) std::this_thread::yield();  // ends only if the three items run at once
    const std::scoped_lock lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), 3U);
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
