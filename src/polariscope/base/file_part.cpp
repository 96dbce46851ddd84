#include "polariscope/base/file_part.h"

#include "polariscope/base/internal/descriptor.h"

#include <fcntl.h>

namespace polariscope {

std::string read_part(const std::filesystem::path& path, std::uint64_t offset, std::size_t size) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.is_open()) throw unreadable(path, errno);
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t count =
        pread(descriptor.number(), bytes.data() + filled, size - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw unreadable(path, errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace polariscope
