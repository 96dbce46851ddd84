#include "bench/child.h"

#include "polariscope/base/error.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace polariscope::bench {
namespace {

// Debian's own interpreter, which is the one that sees Debian's NumPy.
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

std::string peer_obstacle() {
  if (!std::filesystem::exists(kPython)) return std::string(kPython) + " is absent";
  try {
    run_child({kPython, "-c", "import numpy"});
  } catch (const Error&) {
    return std::string("numpy is absent from ") + kPython;
  }
  return "";
}

nlohmann::json run_peer(const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{kPython, POLARISCOPE_PEERS "/" + name + ".py"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return nlohmann::json::parse(run_child(words));
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "polariscope-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw Error("no temporary folder can be made: {}", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace polariscope::bench
