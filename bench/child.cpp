#include "bench/child.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace polariscope::bench {
namespace {

// Debian's own interpreter, which is the one that sees Debian's NumPy and PyTorch.
constexpr const char* kPython = "/usr/bin/python3";

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string run_child(const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  const std::string complaints = (folder.path() / "stderr").string();
  std::string command = "OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1";
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  std::FILE* pipe = popen((command + " 2>" + quoted(complaints)).c_str(), "r");
  if (pipe == nullptr) throw Error("{} cannot be started", arguments.front());
  std::string output;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
  const int status = pclose(pipe);
  if (status != 0) {
    std::string reason;
    if (std::FILE* file = std::fopen(complaints.c_str(), "r"); file != nullptr) {
      reason.assign(buffer.data(), std::fread(buffer.data(), 1, buffer.size(), file));
      std::fclose(file);
    }
    throw Error("{} failed with status {}: {}", command, status, reason);
  }
  return output;
}

std::string peer_obstacle(const std::string& module) {
  if (!std::filesystem::exists(kPython)) return std::string(kPython) + " is absent";
  try {
    run_child({kPython, "-c", "import " + module});
  } catch (const Error&) {
    return module + " is absent from " + kPython;
  }
  return "";
}

nlohmann::json run_peer(const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{kPython, POLARISCOPE_PEERS "/" + name + ".py"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return nlohmann::json::parse(run_child(words));
}

LivingPeer::LivingPeer(const std::string& name, const std::vector<std::string>& arguments, int threads,
                       bool keeps_freed, const std::string& python)
    : name_(name) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that died is told by what it does not answer
  // Some machines export an older core than theirs, which halves the peer's products.
  std::vector<std::string> words{"/usr/bin/env", "-u", "OPENBLAS_CORETYPE",
                                 fmt::format("OPENBLAS_NUM_THREADS={}", threads),
                                 fmt::format("OMP_NUM_THREADS={}", threads)};
  if (keeps_freed) {
    for (const char* name_of : {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}) {
      words.push_back(fmt::format("{}={}", name_of, std::int64_t{1} << 35));
    }
  }
  words.insert(words.end(), {python.empty() ? kPython : python, POLARISCOPE_PEERS "/" + name + ".py"});
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw Error("{}: no pipe can be made", name);
  const std::string complaints = (folder_.path() / "stderr").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, complaints.c_str(), O_WRONLY | O_CREAT, 0600);
  const int failure = posix_spawn(&process_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = fdopen(in[1], "w");
  from_ = fdopen(out[0], "r");
  if (failure != 0) throw Error("{} cannot be started", words.front());
}

LivingPeer::~LivingPeer() {
  std::fclose(to_);  // the end of its input is the end of its work
  std::fclose(from_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
}

nlohmann::json LivingPeer::ask(const std::string& line) {
  std::fputs((line + "\n").c_str(), to_);
  std::fflush(to_);
  return hear();
}

nlohmann::json LivingPeer::hear() {
  std::string answer;
  for (int c = std::fgetc(from_); c != EOF && c != '\n'; c = std::fgetc(from_)) answer += static_cast<char>(c);
  const nlohmann::json parsed = nlohmann::json::parse(answer, nullptr, false);
  if (parsed.is_discarded()) {
    throw Error("the peer {} ended: {}", name_, read_file(folder_.path() / "stderr"));
  }
  return parsed;
}

}  // namespace polariscope::bench
