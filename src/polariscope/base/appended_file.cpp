#include "polariscope/base/appended_file.h"

#include "polariscope/base/mapped_file.h"

#include <fcntl.h>

#include <utility>

namespace polariscope {
namespace {

constexpr auto kLongestWait = std::chrono::seconds(1);

}  // namespace

AppendedFile::AppendedFile(std::filesystem::path path, const Keep& keep)
    : path_(std::move(path)),
      descriptor_(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)),
      last_write_(std::chrono::steady_clock::now()) {
  if (!descriptor_.is_open()) throw unwritable(path_, errno);
  written_ = keep(MappedFile(path_).bytes());
  if (ftruncate(descriptor_.number(), static_cast<off_t>(written_)) != 0) throw unwritable(path_, errno);
}

AppendedFile::~AppendedFile() {
  try {
    write_waiting();
  } catch (const Error&) {  // a destructor must not throw
  }
}

void AppendedFile::append(std::string_view record) {
  waiting_ += record;
  if (std::chrono::steady_clock::now() - last_write_ >= kLongestWait) write_waiting();
}

void AppendedFile::flush() {
  write_waiting();
#ifdef __APPLE__  // which has no other
  const int failed = fsync(descriptor_.number());
#else
  const int failed = fdatasync(descriptor_.number());
#endif
  if (failed != 0) throw unwritable(path_, errno);
}

void AppendedFile::write_waiting() {
  if (!write_all(descriptor_, waiting_)) {
    const int reason = errno;
    // Where even this fails the part that was written stays, as after a kill.
    static_cast<void>(ftruncate(descriptor_.number(), static_cast<off_t>(written_)) == 0);
    throw unwritable(path_, reason);
  }
  written_ += waiting_.size();
  waiting_.clear();
  last_write_ = std::chrono::steady_clock::now();
}

}  // namespace polariscope
