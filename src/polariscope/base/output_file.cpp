#include "polariscope/base/output_file.h"

#include <fcntl.h>

namespace polariscope {

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (!descriptor_.is_open()) throw unwritable(path_, errno);
}

void OutputFile::write(std::string_view bytes) {
  if (!write_all(descriptor_, bytes)) throw unwritable(path_, errno);
}

void OutputFile::sync() {
  if (fsync(descriptor_.number()) != 0) throw unwritable(path_, errno);
}

}  // namespace polariscope
