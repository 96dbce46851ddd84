#include "command.h"

#include "support/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// A file without a name; the process may outlive many reads of it, and never waits for a reader.
int unnamed_file() {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) throw std::runtime_error("no temporary file");
  const int descriptor = dup(fileno(file));
  std::fclose(file);
  return descriptor;
}

std::string contents_of(int descriptor) {
  std::string text;
  char chunk[4096];
  lseek(descriptor, 0, SEEK_SET);
  for (ssize_t count = read(descriptor, chunk, sizeof chunk); count > 0; count = read(descriptor, chunk, sizeof chunk))
    text.append(chunk, static_cast<std::size_t>(count));
  return text;
}

// Until the last process on the other side has gone.
std::string contents_of_terminal(int descriptor) {
  std::string text;
  char chunk[4096];
  for (ssize_t count = read(descriptor, chunk, sizeof chunk); count > 0; count = read(descriptor, chunk, sizeof chunk))
    std::copy_if(chunk, chunk + count, std::back_inserter(text), [](char c) { return c != '\r'; });
  return text;
}

}  // namespace

Running::Running(std::vector<std::string> command, const Surroundings& surroundings)
    : terminal_(surroundings.terminal) {
  const int in = unnamed_file();
  if (write(in, surroundings.input.data(), surroundings.input.size()) < 0) throw std::runtime_error("no input");
  lseek(in, 0, SEEK_SET);
  int out = -1, err = -1;
  if (terminal_) {
    winsize size = {};
    size.ws_row = 40;
    size.ws_col = 100;
    if (openpty(&out_, &out, nullptr, nullptr, &size) != 0) throw std::runtime_error("no pseudo-terminal");
    err = dup(out);
  } else {
    err_ = unnamed_file();
    err = dup(err_);
    out_ = unnamed_file();
    out = surroundings.output_to.empty() ? dup(out_) : open(surroundings.output_to.c_str(), O_WRONLY);
  }

  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  process_ = fork();
  if (process_ == 0) {
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    for (int descriptor = 3; descriptor < 64; ++descriptor) close(descriptor);
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    for (const std::string& setting : surroundings.environment) {
      const std::size_t equals = setting.find('=');
      setenv(setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str(), 1);
    }
    if (!surroundings.folder.empty() && chdir(surroundings.folder.c_str()) != 0) _exit(126);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(in);
  close(out);
  close(err);
  if (process_ < 0) throw std::runtime_error("no process");
}

Running::~Running() {
  if (!ended_ && process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, &status_, 0);
  }
  close(out_);
  if (err_ >= 0) close(err_);
}

void Running::send(int signal) const { kill(process_, signal); }

bool Running::ended() {
  if (!ended_) ended_ = waitpid(process_, &status_, WNOHANG) == process_;
  return ended_;
}

Outcome Running::wait() {
  Outcome outcome;
  if (terminal_) outcome.out = contents_of_terminal(out_);
  if (!ended_) waitpid(process_, &status_, 0);
  ended_ = true;
  if (WIFEXITED(status_)) outcome.code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) outcome.signal = WTERMSIG(status_);
  if (!terminal_) {
    outcome.out = contents_of(out_);
    outcome.err = contents_of(err_);
  }
  return outcome;
}

std::vector<std::string> polariscope_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), POLARISCOPE_BINARY);
  return arguments;
}

void wait_for(const std::filesystem::path& path, Running& running) {
  while (!std::filesystem::exists(path) && !running.ended()) usleep(1000);
}

Outcome polariscope_run(std::vector<std::string> arguments, const Surroundings& surroundings) {
  return Running(polariscope_command(std::move(arguments)), surroundings).wait();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

int columns_of(const std::string& line) {
  return static_cast<int>(
      std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void expect_refused(const std::vector<std::string>& arguments, const std::vector<std::string>& words) {
  const TemporaryFolder folder;
  expect_refused_in(folder.path(), arguments, words);
}

void expect_refused_in(const fs::path& folder, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& words) {
  std::string typed = "polariscope";
  for (const std::string& argument : arguments) typed += " " + argument;
  SCOPED_TRACE(typed);
  const std::string before = listing(folder);
  Surroundings surroundings;
  surroundings.folder = folder;
  const Outcome outcome = polariscope_run(arguments, surroundings);
  EXPECT_EQ(outcome.code, 2) << "signal " << outcome.signal;
  EXPECT_TRUE(outcome.out.empty()) << outcome.out.substr(0, 300);
  EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("polariscope: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find("json.exception"), std::string::npos) << outcome.err;
  for (const std::string& word : words)
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word << "\n" << outcome.err;
  EXPECT_EQ(listing(folder), before) << "files were left behind or changed";
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) ADD_FAILURE() << path << " cannot be read";
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush()) ADD_FAILURE() << path << " cannot be written";
}

std::string listing(const fs::path& folder) {
  std::set<std::string> entries;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string size = entry.is_regular_file() ? " " + std::to_string(entry.file_size()) : "/";
    entries.insert(fs::relative(entry.path(), folder).string() + size + "\n");
  }
  std::string text;
  for (const std::string& entry : entries) text += entry;
  return text;
}

}  // namespace polariscope::testing
