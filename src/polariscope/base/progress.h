// Progress of long work: a live line per task on a terminal, sparse lines otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace polariscope {

class ProgressBoard;

// One running thing. Thread-safe; updates are cheap (drawn at most ten times a second).
// Destroying an unfinished task removes its line.
class Progress {
 public:
  Progress() = default;                                         // reports to nobody
  void update(std::uint64_t done, std::string_view note = {});  // done of total; note: the number that matters now
  void say(std::string_view line);                              // a line of its own, above what is drawn
  void finish(std::string_view note = {});                      // last line of a long task: name, wall time, note
  bool active() const { return task_ != nullptr; }

 private:
  friend class ProgressBoard;
  struct Task;
  std::shared_ptr<Task> task_;
};

// Draws to standard error. On a terminal: one line a task, in place, with bar, rate and remaining time. Piped: a
// line once a task has run for `patience`, then at most one every ten seconds. A task that has run for `patience`
// leaves a line when it finishes; a shorter one leaves nothing.
class ProgressBoard {
 public:
  enum class Mode { kAuto, kQuiet };
  explicit ProgressBoard(Mode mode = Mode::kAuto, std::chrono::milliseconds patience = std::chrono::seconds(2));
  ~ProgressBoard();
  // total: how much update() counts to, 0 if unknown; unit: what it counts ("steps"), "" if a share is all
  // there is to say; before: how much of the total was done earlier, which tells nothing of the rate.
  Progress start(std::string name, std::uint64_t total, std::string unit, std::uint64_t before = 0);

 private:
  friend class Progress;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace polariscope
