// The program as its users meet it: a process with arguments, two streams and an exit code.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::testing {

struct Outcome {
  int code = -1;    // exit code; -1 where a signal ended it
  int signal = 0;   // that signal
  std::string out;  // standard output; with a terminal, all that it showed
  std::string err;
};

struct Surroundings {
  std::filesystem::path folder;          // to run in; empty: where the test runs
  std::string input;                     // of standard input
  std::string output_to;                 // a file (/dev/full) in place of a captured standard output
  std::vector<std::string> environment;  // "NAME=value", over the test's own without NO_COLOR and TERM
  bool terminal = false;                 // both streams on a pseudo-terminal of 100 columns
};

// A process that is running. Ends it if nobody waited for it.
class Running {
 public:
  explicit Running(std::vector<std::string> command, const Surroundings& surroundings = {});
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void send(int signal) const;
  bool ended();
  Outcome wait();

 private:
  pid_t process_ = -1;
  int status_ = 0;
  bool ended_ = false;
  int out_ = -1, err_ = -1;
  bool terminal_ = false;
};

// Until the file is there or the process has ended: so that a signal meets it at work.
void wait_for(const std::filesystem::path& path, Running& running);

// The program under test with these arguments, to its end.
std::vector<std::string> polariscope_command(std::vector<std::string> arguments);
Outcome polariscope_run(std::vector<std::string> arguments, const Surroundings& surroundings = {});

std::vector<std::string> lines_of(const std::string& text);
// Columns on a terminal, of text without control sequences: code points.
int columns_of(const std::string& line);

// Runs in an empty folder and expects one sentence on standard error that holds every one of `words`, exit
// code 2, nothing on standard output, and no file that was not there before.
void expect_refused(const std::vector<std::string>& arguments, const std::vector<std::string>& words);
// The same in a folder that may hold files already.
void expect_refused_in(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& words);

// A file's bytes, and the names below a folder with the size of each: to see that nothing changed.
std::string bytes_of(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& bytes);
std::string listing(const std::filesystem::path& folder);

}  // namespace polariscope::testing
