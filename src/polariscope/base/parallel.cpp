// Data-parallel loops: threads take the next item from one counter.
#include "polariscope/base/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace polariscope {
namespace {

// One call of parallel_for.
class Loop {
 public:
  Loop(std::int64_t count, const std::function<void(std::int64_t)>& body) : count_(count), body_(body) {
    std::fegetenv(&mode_);
  }

  // Takes items until there are none.
  void work() {
    for (std::int64_t i = next_++; i < count_; i = next_++) {
      try {
        body_(i);
      } catch (...) {
        const std::scoped_lock lock(first_mutex_);
        if (!first_) first_ = std::current_exception();
        next_ = count_;  // nobody begins another item
      }
    }
  }

  void work_in_the_callers_mode() {
    std::fesetenv(&mode_);
    work();
  }

  // After all stopped.
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  const std::int64_t count_;
  const std::function<void(std::int64_t)>& body_;
  std::fenv_t mode_;
  std::atomic<std::int64_t> next_ = 0;
  std::exception_ptr first_;
  std::mutex first_mutex_;
};

// While one lives, signals to the process go to its other threads, which have handlers' stacks and waits to be broken
// off.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_SETMASK, &signals, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// A thread that sleeps until it is offered a loop, and works on it unless the offer was taken back meanwhile.
class Helper {
 public:
  // Throws std::system_error if the system gives no more threads.
  Helper() {
    const SignalsBlocked inherited;
    std::thread([this] { live(); }).detach();
  }

  void offer(Loop& loop) {
    loop_ = &loop;
    state_ = State::kOffered;
    state_.notify_one();
  }

  // Returns when the helper has nothing to do with the loop it was offered.
  void take_back() {
    State expected = State::kOffered;
    if (state_.compare_exchange_strong(expected, State::kIdle)) return;
    state_.wait(State::kWorking);
  }

 private:
  enum class State : int { kIdle, kOffered, kWorking };

  [[noreturn]] void live() {
    for (;;) {
      state_.wait(State::kIdle);
      State expected = State::kOffered;
      if (!state_.compare_exchange_strong(expected, State::kWorking)) continue;
      loop_->work_in_the_callers_mode();
      state_ = State::kIdle;
      state_.notify_one();
    }
  }

  Loop* loop_ = nullptr;
  std::atomic<State> state_ = State::kIdle;
};

// The process's helpers. Each loop has some of them for itself, and waits for no other loop.
class Pool {
 public:
  Pool() {
    // A child has this thread alone. The mutex is held over the fork, so that the child finds it whole.
    pthread_atfork([] { the().mutex_.lock(); }, [] { the().mutex_.unlock(); },
                   [] {
                     the().idle_.clear();
                     the().mutex_.unlock();
                   });
  }

  // Never destroyed: helpers sleep in it until the process has ended.
  static Pool& the() {
    static Pool& pool = *new Pool;
    return pool;
  }

  // `wanted` helpers, or as many as the system gives.
  std::vector<Helper*> take(std::int64_t wanted) {
    std::vector<Helper*> taken;
    const std::scoped_lock lock(mutex_);
    try {
      while (static_cast<std::int64_t>(taken.size()) < wanted) {
        if (idle_.empty()) add();
        taken.push_back(idle_.back());
        idle_.pop_back();
      }
    } catch (const std::exception&) {
      // Those there are do all of the work.
    }
    return taken;
  }

  // The next loop gets the same ones first, whose caches and workspaces are warm.
  void give_back(const std::vector<Helper*>& taken) {
    const std::scoped_lock lock(mutex_);
    idle_.insert(idle_.end(), taken.rbegin(), taken.rend());
  }

 private:
  void add() {
    helpers_.reserve(helpers_.size() + 1);
    idle_.reserve(helpers_.size() + 1);  // so that give_back() needs no memory
    helpers_.push_back(std::make_unique<Helper>());
    idle_.push_back(helpers_.back().get());
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Helper>> helpers_;
  std::vector<Helper*> idle_;
};

}  // namespace

void parallel_for(std::int64_t count, int threads, const std::function<void(std::int64_t)>& body) {
  const std::int64_t wanted = std::min<std::int64_t>(count, threads > 0 ? threads : processor_count());
  if (wanted <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  Loop loop(count, body);
  const std::vector<Helper*> helpers = Pool::the().take(wanted - 1);
  for (Helper* helper : helpers) helper->offer(loop);
  loop.work();
  for (Helper* helper : helpers) helper->take_back();
  Pool::the().give_back(helpers);
  loop.rethrow();
}

int processor_count() {
#ifdef __linux__
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
#endif
  // More processors than the set can hold (1024).
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace polariscope
