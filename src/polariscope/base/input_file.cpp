#include "polariscope/base/input_file.h"

#include "polariscope/base/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

namespace polariscope {
namespace {

// A pipe's read() goes on waiting after an interrupt, poll() does not.
constexpr int kPatience = 200;  // milliseconds

bool is_ordinary(const Descriptor& descriptor) {
  struct stat status = {};
  return fstat(descriptor.number(), &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

InputFile::InputFile(std::filesystem::path path, Descriptor descriptor)
    : path_(std::move(path)), descriptor_(std::move(descriptor)) {
  if (!descriptor_.is_open()) throw unreadable(path_, errno);
  waits_ = !is_ordinary(descriptor_);
}

InputFile::InputFile(const std::filesystem::path& path)
    : InputFile(path, Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC))) {}

InputFile InputFile::standard_input() {
  return {"standard input", Descriptor(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0))};
}

std::size_t InputFile::read(std::span<char> into) {
  for (;;) {
    pollfd waiting{.fd = descriptor_.number(), .events = POLLIN, .revents = 0};
    while (waits_ && poll(&waiting, 1, kPatience) <= 0) stop_if_interrupted();
    const ssize_t count = ::read(descriptor_.number(), into.data(), into.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw unreadable(path_, errno);
    return static_cast<std::size_t>(count);
  }
}

}  // namespace polariscope
