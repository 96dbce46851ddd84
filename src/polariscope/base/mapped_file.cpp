#include "polariscope/base/mapped_file.h"

#include "polariscope/base/internal/descriptor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace polariscope {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe would wait for a writer
  struct stat status = {};
  if (!descriptor.is_open() || fstat(descriptor.number(), &status) != 0) throw unreadable(path, errno);
  if (!S_ISREG(status.st_mode)) throw Error("{}: is a folder, pipe or device: give an ordinary file", path.string());
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return;  // which the system does not map
  void* begin = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.number(), 0);
  if (begin == MAP_FAILED) throw unreadable(path, errno);
  mapping_ = std::shared_ptr<void>(begin, [size](void* mapped) { munmap(mapped, size); });
  bytes_ = {static_cast<const char*>(begin), size};
}

}  // namespace polariscope
