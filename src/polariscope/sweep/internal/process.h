// One child process and all that it starts.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace polariscope::sweep {

// Runs in a group of its own, on one thread where its libraries ask the environment, without the environment of MPI.
// The system kills it when the thread that made it ends, however that happens.
class Process {
 public:
  // Executes the file `program`, which is told `words`, its name first. Standard error goes to `errors`, input and
  // output nowhere. Throws Error if the system gives no process; a program that cannot be started is a process that
  // says so and exits with 127.
  Process(const std::string& program, const std::vector<std::string>& words, int errors);
  // Kills what still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Its status as waitpid gives it, once it has ended; then nothing of its group is left.
  std::optional<int> status();
  // To the whole group; nothing once it has ended.
  void send(int signal) const;

 private:
  void wait(int options);
  pid_t process_ = -1;
  std::optional<int> status_;
};

}  // namespace polariscope::sweep
