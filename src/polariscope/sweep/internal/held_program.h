// The program that executes a sweep's runs, as it was when the sweep began.
#pragma once

#include <sys/stat.h>

#include <string>

namespace polariscope::sweep {

// Holds the program's file, so that an upgrade in the midst of a sweep does not give it runs of two programs.
class HeldProgram {
 public:
  // A file that cannot be opened is left to whoever executes it, to say so.
  explicit HeldProgram(std::string path);
  ~HeldProgram();
  HeldProgram(const HeldProgram&) = delete;
  HeldProgram& operator=(const HeldProgram&) = delete;

  // A path by which this process' children execute it, whatever stands at its own by now. Says on standard error, once,
  // that something else does. Throws Error where its contents were overwritten.
  std::string executable();
  const std::string& path() const { return path_; }
  const std::string& fingerprint() const { return fingerprint_; }  // runs/provenance.h; "" if it cannot be opened

 private:
  bool is_overwritten() const;
  std::string path_, held_, fingerprint_;
  int descriptor_;
  struct stat opened_ = {};
  bool told_ = false;
};

}  // namespace polariscope::sweep
