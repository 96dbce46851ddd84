// A tmpfs in a namespace of our own.
#include "support/small_disk.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace polariscope::testing {
namespace {

// Enters a mount namespace in which this process may mount; false, with errno set, where it may not.
bool enter_namespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  }
  // Otherwise the mount would be seen outside, where the root mount is shared.
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace

SmallDisk::SmallDisk(int kilobytes) {
  const std::string options = "size=" + std::to_string(kilobytes) + "k";
  if (!enter_namespace() || mount("tmpfs", path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    unavailable_ = std::string("this system lets the test mount no tmpfs: ") + std::strerror(errno);
  }
}

SmallDisk::~SmallDisk() {
  if (unavailable_.empty()) umount2(path().c_str(), MNT_DETACH);
}

void SmallDisk::make_read_only() {
  if (mount("tmpfs", path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    throw std::runtime_error(std::string("cannot remount the small disk: ") + std::strerror(errno));
  }
}

}  // namespace polariscope::testing
