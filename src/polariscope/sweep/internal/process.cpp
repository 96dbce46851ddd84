#include "polariscope/sweep/internal/process.h"

#include "polariscope/base/error.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

namespace polariscope::sweep {
namespace {

// A run fills one core, and is no rank of the sweep's MPI.
std::vector<std::string> environment_of_a_run() {
  constexpr std::array<std::string_view, 3> kThreads = {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
                                                        "MKL_NUM_THREADS=1"};
  constexpr std::array<std::string_view, 5> kLeftOut = {
      "OMP_NUM_THREADS=", "OPENBLAS_NUM_THREADS=", "MKL_NUM_THREADS=", "OMPI_", "PMIX_"};
  std::vector<std::string> environment(kThreads.begin(), kThreads.end());
  for (char** setting = environ; *setting != nullptr; ++setting) {
    const std::string_view text = *setting;
    const bool left_out =
        std::ranges::any_of(kLeftOut, [&](std::string_view start) { return text.starts_with(start); });
    if (!left_out) environment.emplace_back(text);
  }
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Between fork and exec: only what is safe there.
[[noreturn]] void become(const char* program, char** words, char** environment, int errors, pid_t parent) {
  constexpr int kCannotStart = 127;  // as shells have it
  setpgid(0, 0);
  signal(SIGTERM, SIG_DFL);  // by which a sweep stops its runs, whatever it ignores itself
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotStart);  // it died before that was asked for
  const int nowhere = open("/dev/null", O_RDWR);
  dup2(nowhere, STDIN_FILENO);
  dup2(nowhere, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  execve(program, words, environment);
  for (const char* part : {"cannot start ", static_cast<const char*>(words[0]), ": ", strerrordesc_np(errno), "\n"}) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  _exit(kCannotStart);
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& words, int errors) {
  std::vector<std::string> told = words, environment = environment_of_a_run();
  const std::vector<char*> arguments = pointers_to(told), settings = pointers_to(environment);
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ < 0) throw Error("no process can be started ({}): end others, then go on", std::strerror(errno));
  if (process_ == 0) {
    become(program.c_str(), const_cast<char**>(arguments.data()), const_cast<char**>(settings.data()), errors, parent);
  }
  setpgid(process_, process_);  // in both processes, so that neither has to wait for the other
}

Process::~Process() {
  send(SIGKILL);
  if (!status_) wait(0);
}

std::optional<int> Process::status() {
  if (!status_) wait(WNOHANG);
  return status_;
}

void Process::send(int signal) const {
  if (!status_) kill(-process_, signal);
}

void Process::wait(int options) {
  // Its number stays taken until it is reaped, so that the group of this number is its own.
  siginfo_t ended = {};
  while (waitid(P_PID, static_cast<id_t>(process_), &ended, WEXITED | WNOWAIT | options) != 0 && errno == EINTR) {
  }
  if (ended.si_pid != process_) return;
  kill(-process_, SIGKILL);
  int status = 0;
  waitpid(process_, &status, 0);
  status_ = status;
}

}  // namespace polariscope::sweep
