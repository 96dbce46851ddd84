// What the code under test shows a person, on a terminal and in a pipe.
#pragma once

#include <string>
#include <thread>

namespace polariscope::testing {

// Standard error goes to a file or to a pseudo-terminal (100 columns) until text() or the end.
class CapturedStderr {
 public:
  enum class To { kFile, kTerminal };
  explicit CapturedStderr(To to);
  ~CapturedStderr();
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  // False where the system gives no pseudo-terminal (a bare chroot): tests skip by name.
  static bool has_terminal();

  // Restores standard error and returns all that was written; a terminal's "\r\n" as "\n".
  std::string text();

 private:
  void restore();
  void read_all();

  int original_ = -1;
  int source_ = -1;
  std::string all_;
  std::thread reader_;  // drains the terminal, which holds only a few kilobytes before a writer has to wait
};

// What a terminal shows after `output`, which moves only by "\x1b[<n>A" (up) and "\x1b[J" (clear below).
std::string screen_after(const std::string& output);

}  // namespace polariscope::testing
