// Child processes: the peers in Python, and polariscope itself.
#pragma once

#include "support/temporary_folder.h"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace polariscope::bench {

// Runs the program with one BLAS thread, its standard error left out unless it fails. Returns its
// standard output; throws Error with the exit status and what it wrote.
std::string run_child(const std::vector<std::string>& arguments);

// Why no peer can run: python3 or the module that it needs is absent. "" where it can.
std::string peer_obstacle(const std::string& module);
// Runs bench/peers/NAME.py and reads the one line of JSON it prints.
nlohmann::json run_peer(const std::string& name, const std::vector<std::string>& arguments);

using testing::TemporaryFolder;

// bench/peers/NAME.py kept running, so that its runs can be interleaved with ours: it answers every line it
// reads with one line of JSON. Its BLAS has `threads` threads and may choose its kernels for this processor. Where
// it keeps what it frees it is spared page faults, but holds more than it needs. python: "" for the system's.
class LivingPeer {
 public:
  LivingPeer(const std::string& name, const std::vector<std::string>& arguments, int threads, bool keeps_freed,
             const std::string& python = "");
  ~LivingPeer();
  LivingPeer(const LivingPeer&) = delete;
  LivingPeer& operator=(const LivingPeer&) = delete;

  nlohmann::json ask(const std::string& line);
  nlohmann::json hear();  // what it says by itself when it is ready

 private:
  std::string name_;
  TemporaryFolder folder_;
  pid_t process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

}  // namespace polariscope::bench
