#include "polariscope/base/line_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace polariscope {
namespace {

constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kLongestLine = 64 << 20;

}  // namespace

LineReader::LineReader(std::filesystem::path path, std::uint64_t from)
    : path_(std::move(path)), descriptor_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)), offset_(from) {
  if (!descriptor_.is_open() || lseek(descriptor_.number(), static_cast<off_t>(from), SEEK_SET) < 0) {
    throw unreadable(path_, errno);
  }
}

std::optional<std::string_view> LineReader::next() {
  for (;;) {
    const std::size_t end = buffer_.find('\n', looked_);
    if (end != std::string::npos) {
      const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = looked_ = end + 1;
      offset_ += line.size() + 1;
      ++lines_;
      return line;
    }
    looked_ = buffer_.size();
    if (!read_more()) return std::nullopt;
  }
}

// False at the end of the file.
bool LineReader::read_more() {
  buffer_.erase(0, std::exchange(begin_, 0));
  looked_ = buffer_.size();
  if (looked_ > kLongestLine) {
    throw Error("{}, line {}: is longer than {} MB: give a log, a record a line", path_.string(), lines_ + 1,
                kLongestLine >> 20);
  }
  buffer_.resize(looked_ + kChunk);
  ssize_t count = 0;
  do {
    count = read(descriptor_.number(), buffer_.data() + looked_, kChunk);
  } while (count < 0 && errno == EINTR);
  const int reason = errno;
  buffer_.resize(looked_ + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0) throw unreadable(path_, reason);
  return count > 0;
}

}  // namespace polariscope
