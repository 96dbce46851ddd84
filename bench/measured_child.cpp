#include "bench/measured_child.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

namespace polariscope::bench {
namespace {

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

MeasuredRun run_measured(const std::vector<std::string>& arguments) {
  const testing::TemporaryFolder folder;
  const std::string output = (folder.path() / "stdout").string(), complaints = (folder.path() / "stderr").string();
  std::vector<std::string> words = arguments;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, complaints.c_str(), O_WRONLY | O_CREAT, 0600);
  const auto before = std::chrono::steady_clock::now();
  pid_t process = -1;
  const int failure = posix_spawn(&process, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw Error("{} cannot be started", arguments.front());
  int status = 0;
  rusage used{};
  if (wait4(process, &status, 0, &used) != process) throw Error("{} cannot be waited for", arguments.front());
  MeasuredRun run;
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  if (status != 0) {
    throw Error("{} failed with status {}: {}", arguments.front(), status, read_file(complaints));
  }
  run.processors = (seconds_of(used.ru_utime) + seconds_of(used.ru_stime)) / run.seconds;
  run.peak_bytes = 1024 * static_cast<std::int64_t>(used.ru_maxrss);
  run.output = read_file(output);
  return run;
}

}  // namespace polariscope::bench
