// Progress lines on standard error.
#include "polariscope/base/progress.h"

#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <mutex>
#include <vector>

namespace polariscope {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kSparse = std::chrono::seconds(10);
constexpr int kNameColumns = 24;
constexpr int kBarColumns = 20, kFewestBarColumns = 5;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// 1234567 -> 1.23M
std::string short_count(double count) {
  for (const auto& [unit, letter] : {std::pair{1e9, 'G'}, std::pair{1e6, 'M'}, std::pair{1e3, 'k'}}) {
    if (count >= unit) return fmt::format("{:.3g}{}", count / unit, letter);
  }
  return fmt::format("{:.3g}", count);
}

std::string bar(double share, int columns) {
  const int filled = static_cast<int>(share * columns);
  std::string text;
  for (int i = 0; i < columns; ++i) text += i < filled ? "█" : "░";
  return text;
}

struct TerminalSize {
  std::size_t rows = 24;
  int columns = 80;
};

TerminalSize terminal_size() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

// A wrapped line would break the count of lines to go up by.
std::string cut(std::string_view text, int columns) {
  std::size_t end = 0;
  for (int shown = 0; end < text.size(); ++end) {
    const bool starts_character = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
    if (starts_character && shown++ == columns) break;
  }
  return std::string(text.substr(0, end));
}

}  // namespace

struct Progress::Task {
  std::shared_ptr<ProgressBoard::State> board;
  std::string name, unit;
  std::uint64_t total = 0;
  std::uint64_t before = 0;  // done when it started
  Clock::time_point start = Clock::now();
  std::atomic<std::uint64_t> done = 0;
  // Below: guarded by the board's mutex.
  std::string note;
  Clock::time_point last_line = start;
  bool announced = false;  // piped: the line of its start was printed

  ~Task();
  std::string line(int columns = std::numeric_limits<int>::max()) const;  // the bar gives way to what has no room
  std::string first_line() const;
};

struct ProgressBoard::State {
  std::atomic<bool> quiet = false;
  bool live = false;
  std::chrono::milliseconds patience{};
  std::mutex mutex;
  std::vector<Progress::Task*> tasks;  // running, in order of start
  std::size_t drawn = 0;               // lines on the terminal now
  std::atomic<Clock::rep> next_draw = 0;

  // All called with the mutex held.
  void print(const std::string& text) const {
    if (!quiet) tell(text);
  }
  void draw(const std::string& above = "") {
    std::string text = drawn > 0 ? fmt::format("\x1b[{}A\x1b[J", drawn) : "";
    text += above;
    const TerminalSize size = terminal_size();
    // The cursor cannot go up to a line that has left the screen: what does not fit waits for its turn.
    drawn = std::min(tasks.size(), size.rows - 1);
    for (std::size_t i = 0; i < drawn; ++i) text += cut(tasks[i]->line(size.columns - 1), size.columns - 1) + "\n";
    print(text);
  }
  // Piped: what a task has to say now, which is nothing before it has run for a while.
  void print_sparsely(Progress::Task& task) const {
    const Clock::time_point now = Clock::now();
    if (now - task.start < patience) return;
    if (task.announced && now - task.last_line < kSparse) return;
    print(task.announced ? task.line() + "\n" : task.first_line());
    task.announced = true;
    task.last_line = now;
  }
  void remove(const Progress::Task* task) { std::erase(tasks, task); }
};

Progress::Task::~Task() {
  const std::scoped_lock lock(board->mutex);
  if (std::find(board->tasks.begin(), board->tasks.end(), this) == board->tasks.end()) return;  // finished
  board->remove(this);
  if (board->live) board->draw();
}

// name  ████░░░░  40%  1.2M steps/s  3.1 s left  note
std::string Progress::Task::line(int columns) const {
  const auto count = static_cast<double>(done.load());
  const double seconds = seconds_since(start);
  const double rate = seconds > 0.0 ? (count - static_cast<double>(before)) / seconds : 0.0;
  std::string text = name;
  if (const int width = display_width(name); width < kNameColumns) {
    text.append(static_cast<std::size_t>(kNameColumns - width), ' ');
  }
  std::string rest;
  if (rate > 0.0 && !unit.empty()) rest += fmt::format("  {} {}/s", short_count(rate), unit);
  if (rate > 0.0 && total > 0) {
    rest += fmt::format("  {} left", duration(std::max(0.0, static_cast<double>(total) - count) / rate));
  }
  if (!note.empty()) rest += "  " + note;
  if (total > 0) {
    constexpr int kAround = 7;  // "  " and " 100%"
    const double share = std::min(1.0, count / static_cast<double>(total));
    const int room = columns - display_width(text) - display_width(rest) - kAround;
    text += fmt::format("  {} {:3.0f}%", bar(share, std::clamp(room, kFewestBarColumns, kBarColumns)),
                        std::floor(100.0 * share));
  } else if (count > 0) {
    text += fmt::format("  {} {}", short_count(count), unit);
  }
  return text + rest;
}

std::string Progress::Task::first_line() const {
  const bool counts = total > 0 && !unit.empty();
  const std::string amount =
      counts ? fmt::format(", {} {}", short_count(static_cast<double>(total - before)), unit) : "";
  return fmt::format("{}: started{}\n", name, amount);
}

void Progress::update(std::uint64_t done, std::string_view note) {
  if (!task_) return;
  task_->done = done;
  ProgressBoard::State& board = *task_->board;
  if (board.quiet) return;
  const Clock::rep now = Clock::now().time_since_epoch().count();
  if (now < board.next_draw.load(std::memory_order_relaxed)) return;
  // Somebody else is drawing: this number is shown next time.
  const std::unique_lock lock(board.mutex, std::try_to_lock);
  if (!lock) return;
  board.next_draw = now + Clock::duration(kRedraw).count();
  task_->note = note;
  if (board.live) {
    board.draw();
  } else {
    board.print_sparsely(*task_);
  }
}

void Progress::say(std::string_view line) {
  if (!task_) return;
  ProgressBoard::State& board = *task_->board;
  const std::scoped_lock lock(board.mutex);
  const std::string whole = fmt::format("{}: {}\n", task_->name, line);
  if (board.live) {
    board.draw(whole);
  } else {
    board.print(whole);
  }
}

void Progress::finish(std::string_view note) {
  if (!task_) return;
  ProgressBoard::State& board = *task_->board;
  {
    const std::scoped_lock lock(board.mutex);
    std::string line;
    if (Clock::now() - task_->start >= board.patience) {
      line = fmt::format("{}: done in {}", task_->name, duration(seconds_since(task_->start)));
      if (!note.empty()) line += fmt::format(", {}", note);
      line += '\n';
    }
    board.remove(task_.get());
    if (board.live) {
      board.draw(line);
    } else {
      board.print(line);
    }
  }
  task_.reset();
}

ProgressBoard::ProgressBoard(Mode mode, std::chrono::milliseconds patience) : state_(std::make_shared<State>()) {
  state_->patience = patience;
  state_->quiet = mode == Mode::kQuiet;
  state_->live = moves_cursor(stderr) && !state_->quiet;
}

ProgressBoard::~ProgressBoard() {
  const std::scoped_lock lock(state_->mutex);
  // Tasks that outlive their board go on counting for nobody.
  state_->tasks.clear();
  if (state_->live) state_->draw();
  state_->quiet = true;
}

Progress ProgressBoard::start(std::string name, std::uint64_t total, std::string unit, std::uint64_t before) {
  Progress progress;
  progress.task_ = std::make_shared<Progress::Task>();
  Progress::Task& task = *progress.task_;
  task.board = state_;
  task.name = std::move(name);
  task.unit = std::move(unit);
  task.total = total;
  task.before = before;
  task.done = before;
  const std::scoped_lock lock(state_->mutex);
  state_->tasks.push_back(&task);
  if (state_->live) {
    state_->draw();
  } else {
    state_->print_sparsely(task);
  }
  return progress;
}

}  // namespace polariscope
