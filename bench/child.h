// Child processes: the peers in NumPy, and polariscope itself.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::bench {

// Runs the program with one BLAS thread, its standard error left out unless it fails. Returns its
// standard output; throws Error with the exit status and what it wrote.
std::string run_child(const std::vector<std::string>& arguments);

// Why no peer can run: python3 or numpy is absent. "" where they can.
std::string peer_obstacle();
// Runs bench/peers/NAME.py and reads the one line of JSON it prints.
nlohmann::json run_peer(const std::string& name, const std::vector<std::string>& arguments);

// A new folder for temporary files, removed with what it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace polariscope::bench
