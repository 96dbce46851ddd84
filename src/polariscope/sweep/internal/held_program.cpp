#include "polariscope/sweep/internal/held_program.h"

#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/provenance.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace polariscope::sweep {
namespace {

bool is_file(const std::string& path, const struct stat& file) {
  struct stat found = {};
  return stat(path.c_str(), &found) == 0 && found.st_dev == file.st_dev && found.st_ino == file.st_ino;
}

}  // namespace

HeldProgram::HeldProgram(std::string path)
    : path_(std::move(path)), held_(path_), descriptor_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) return;
  fstat(descriptor_, &opened_);
  held_ = fmt::format("/proc/{}/fd/{}", getpid(), descriptor_);
  fingerprint_ = runs::program_fingerprint(held_);
}

HeldProgram::~HeldProgram() {
  if (descriptor_ >= 0) close(descriptor_);
}

// In place, as cp does, which leaves it the same file.
bool HeldProgram::is_overwritten() const {
  struct stat now = {};
  fstat(descriptor_, &now);
  const bool touched = now.st_size != opened_.st_size || now.st_mtim.tv_sec != opened_.st_mtim.tv_sec ||
                       now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec;
  return touched && runs::program_fingerprint(held_) != fingerprint_;
}

std::string HeldProgram::executable() {
  if (descriptor_ < 0) return path_;
  if (is_overwritten()) {
    throw Error(
        "{}: was overwritten while the sweep ran, whose runs are to be of one program: the same command goes on",
        path_);
  }
  if (!told_ && !is_file(path_, opened_)) {
    told_ = true;
    tell(fmt::format("polariscope: {} was replaced: this sweep goes on with the program it began with\n", path_));
  }
  return held_;
}

}  // namespace polariscope::sweep
