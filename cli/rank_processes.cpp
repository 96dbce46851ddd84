#include "rank_processes.h"

#include "polariscope/base/error.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace polariscope::cli {
namespace {

// Ends after the training has ended: some of them may still be at a step.
constexpr std::chrono::seconds kPatience{5};

std::vector<std::string> words_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> words;
  for (std::size_t at = 0; at < all.size(); at += words.back().size() + 1) words.emplace_back(all.c_str() + at);
  return words;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

bool names(const std::string& setting, const char* name) { return setting.starts_with(std::string(name) + "="); }

}  // namespace

RankProcesses::~RankProcesses() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (const pid_t process : processes_) {
    while (waitpid(process, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end) {
        kill(process, SIGKILL);
        waitpid(process, nullptr, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

void RankProcesses::start(int size, std::uint16_t port) {
  std::vector<std::string> command = words_of("/proc/self/cmdline");
  for (int rank = 1; rank < size; ++rank) {
    std::vector<std::string> environment = words_of("/proc/self/environ");
    std::erase_if(environment, [](const std::string& setting) {
      return names(setting, "RANK") || names(setting, "WORLD_SIZE") || names(setting, "MASTER_ADDR") ||
             names(setting, "MASTER_PORT");
    });
    environment.push_back("RANK=" + std::to_string(rank));
    environment.push_back("WORLD_SIZE=" + std::to_string(size));
    environment.emplace_back("MASTER_ADDR=127.0.0.1");
    environment.push_back("MASTER_PORT=" + std::to_string(port));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t process = -1;
    const int failure = posix_spawn(&process, "/proc/self/exe", &actions, nullptr, pointers(command).data(),
                                    pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) throw Error("another process cannot be started: {}", std::strerror(failure));
    processes_.push_back(process);
  }
}

void leave_interrupts_to_the_first() {
  std::signal(SIGINT, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace polariscope::cli
