// Progress of long work: a live line per task on a terminal, sparse lines otherwise.
#pragma once

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
  void finish(std::string_view note = {});                      // final line: name, wall time, note
  bool active() const { return task_ != nullptr; }

 private:
  friend class ProgressBoard;
  struct Task;
  std::shared_ptr<Task> task_;
};

// Draws to standard error. On a terminal: one line a task, in place, with bar, rate and remaining time.
// Piped: a line when a task starts, at most one every ten seconds, and one when it finishes.
class ProgressBoard {
 public:
  enum class Mode { kAuto, kQuiet };
  explicit ProgressBoard(Mode mode = Mode::kAuto);
  ~ProgressBoard();
  // total: how much update() counts to, 0 if unknown; unit: what it counts ("steps").
  Progress start(std::string name, std::uint64_t total, std::string unit);

 private:
  friend class Progress;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace polariscope
