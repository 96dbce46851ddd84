#include "polariscope/live/watcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace polariscope::live {
namespace {

using Clock = std::chrono::steady_clock;

// As often as a training writes its log.
constexpr std::chrono::milliseconds kRound{1000};

}  // namespace

Watcher::Watcher(std::vector<std::filesystem::path> places) : places_(std::move(places)) {
  look_for_runs();
  for (const auto& run : runs()) run->look(wall_clock());
  thread_ = std::thread([this] { follow(); });
}

Watcher::~Watcher() {
  {
    const std::lock_guard hold(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

WatchedRuns Watcher::runs() const {
  const std::lock_guard hold(mutex_);
  return runs_;
}

std::shared_ptr<WatchedRun> Watcher::find(std::string_view id) const {
  const std::lock_guard hold(mutex_);
  const auto found = std::ranges::find_if(runs_, [id](const auto& run) { return run->id() == id; });
  return found == runs_.end() ? nullptr : *found;
}

void Watcher::hurry() {
  {
    const std::lock_guard hold(mutex_);
    hurried_ = true;
  }
  changed_.notify_all();
}

void Watcher::look_for_runs() {
  for (const std::filesystem::path& place : places_) {
    for (FoundRun& found : find_runs(place)) {
      if (known_.size() >= kMostRuns || !known_.insert(found.folder).second) continue;
      if (!names_.insert(found.name).second) names_.insert(found.name = found.folder.string());
      auto run = std::make_shared<WatchedRun>(std::move(found.folder), std::move(found.name));
      const std::lock_guard hold(mutex_);
      runs_.push_back(std::move(run));
    }
  }
}

// Whether more is there to be read. Never for longer than a moment: the states of all runs want to be seen, too.
bool Watcher::read_for_a_while() {
  constexpr std::chrono::milliseconds kMoment{500};
  const Clock::time_point end = Clock::now() + kMoment;
  const WatchedRuns all = runs();
  for (bool more = true; more;) {
    more = false;
    for (const auto& run : all) more |= run->read(wall_clock());
    if (more && Clock::now() > end) return true;
  }
  return false;
}

void Watcher::follow() {
  Clock::time_point looked;
  for (bool more = false;;) {
    {
      std::unique_lock hold(mutex_);
      if (!more) changed_.wait_for(hold, kRound, [this] { return ended_ || hurried_; });
      if (ended_) return;
      hurried_ = false;
    }
    if (Clock::now() - looked >= kRound) {
      looked = Clock::now();
      look_for_runs();
      for (const auto& run : runs()) run->look(wall_clock());
    }
    more = read_for_a_while();
  }
}

}  // namespace polariscope::live
