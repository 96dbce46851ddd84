// A log that is read while another process writes it, however often that process is stopped and goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace polariscope::runs {

// A resumed run cuts its log back to its checkpoint before it goes on, and a folder may be made anew under the same
// name: what was read is then read again from the beginning.
class FollowedLog {
 public:
  explicit FollowedLog(std::filesystem::path path) : path_(std::move(path)) {}

  // Gives at most `most` further whole lines. Calls begin_anew() before any of them where the file no longer begins
  // with what was given: forget it, all comes again. Returns whether there may be more lines already. A file that is
  // not there has no lines. Throws Error for one that cannot be read.
  bool read(int most, const std::function<void()>& begin_anew, const std::function<void(std::string_view)>& visit);

  std::uint64_t offset() const { return offset_; }  // bytes given so far
  std::uint64_t size() const { return size_; }      // of the file when it was last read

 private:
  bool begins_as_before() const;

  std::filesystem::path path_;
  std::uint64_t offset_ = 0, size_ = 0;
  std::string last_;  // the end of what was given: a file that has something else there is another one
};

}  // namespace polariscope::runs
