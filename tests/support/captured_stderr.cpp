// Standard error, caught at its file descriptor.
#include "support/captured_stderr.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace polariscope::testing {

CapturedStderr::CapturedStderr(To to) : original_(dup(STDERR_FILENO)) {
  int sink = -1;
  if (to == To::kTerminal) {
    winsize size = {};
    size.ws_row = 40;
    size.ws_col = 100;
    if (openpty(&source_, &sink, nullptr, nullptr, &size) != 0) throw std::runtime_error("no pseudo-terminal");
  } else {
    std::FILE* file = std::tmpfile();
    if (file == nullptr) throw std::runtime_error("no temporary file");
    source_ = dup(fileno(file));
    sink = dup(source_);
    std::fclose(file);
  }
  std::fflush(stderr);
  dup2(sink, STDERR_FILENO);
  close(sink);
  if (to == To::kTerminal) reader_ = std::thread([this] { read_all(); });
}

bool CapturedStderr::has_terminal() {
  int source = -1, sink = -1;
  if (openpty(&source, &sink, nullptr, nullptr, nullptr) != 0) return false;
  close(source);
  close(sink);
  return true;
}

CapturedStderr::~CapturedStderr() {
  restore();
  close(source_);
}

void CapturedStderr::restore() {
  if (original_ < 0) return;
  std::fflush(stderr);
  dup2(original_, STDERR_FILENO);
  close(original_);
  original_ = -1;
  // Nobody writes any more: a terminal's reader meets the end, a file is read now.
  if (reader_.joinable()) {
    reader_.join();
  } else {
    lseek(source_, 0, SEEK_SET);
    read_all();
  }
}

void CapturedStderr::read_all() {
  char chunk[4096];
  for (ssize_t count = read(source_, chunk, sizeof chunk); count > 0; count = read(source_, chunk, sizeof chunk)) {
    for (ssize_t i = 0; i < count; ++i) {
      if (chunk[i] != '\r') all_ += chunk[i];
    }
  }
}

std::string CapturedStderr::text() {
  restore();
  return all_;
}

std::string screen_after(const std::string& output) {
  std::vector<std::string> lines(1);
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (output.compare(i, 3, "\x1b[J") == 0) {
      i += 2;
    } else if (output.compare(i, 2, "\x1b[") == 0) {
      const std::size_t end = output.find('A', i);
      // The cursor stands at the beginning of a line, and all below is cleared before anything is drawn.
      lines.resize(lines.size() - std::stoul(output.substr(i + 2, end - i - 2)));
      lines.back().clear();
      i = end;
    } else if (output[i] == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += output[i];
    }
  }
  std::string screen;
  for (const std::string& line : lines) screen += line + "\n";
  screen.pop_back();
  return screen;
}

}  // namespace polariscope::testing
