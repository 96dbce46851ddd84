// All runs that are followed, and the one thread that reads their folders.
#pragma once

#include "polariscope/live/find_runs.h"
#include "polariscope/live/watched_run.h"

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace polariscope::live {

using WatchedRuns = std::vector<std::shared_ptr<WatchedRun>>;

class Watcher {
 public:
  // Every place is a run, or a folder in which runs are looked for again and again. Their first look is over when this
  // returns.
  explicit Watcher(std::vector<std::filesystem::path> places);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // In the order in which they were found; none ever leaves.
  WatchedRuns runs() const;
  // nullptr where no run has that id.
  std::shared_ptr<WatchedRun> find(std::string_view id) const;
  // Has the thread read at once what somebody has just begun to want.
  void hurry();

 private:
  void look_for_runs();
  void follow();
  bool read_for_a_while();

  std::vector<std::filesystem::path> places_;
  std::set<std::filesystem::path> known_;
  std::set<std::string> names_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  WatchedRuns runs_;
  bool hurried_ = false, ended_ = false;

  std::thread thread_;
};

}  // namespace polariscope::live
