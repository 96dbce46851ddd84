#include "polariscope/runs/followed_log.h"

#include "polariscope/base/file_part.h"
#include "polariscope/base/line_reader.h"

#include <algorithm>
#include <system_error>

namespace polariscope::runs {
namespace {

constexpr std::size_t kCompared = 4096;  // bytes: a line of a small model, or the last numbers of a large one's

}  // namespace

bool FollowedLog::begins_as_before() const {
  if (size_ < offset_) return false;
  return read_part(path_, offset_ - last_.size(), last_.size()) == last_;
}

bool FollowedLog::read(int most, const std::function<void()>& begin_anew,
                       const std::function<void(std::string_view)>& visit) {
  std::error_code missing;
  size_ = std::filesystem::file_size(path_, missing);
  if (missing) size_ = 0;
  if (offset_ > 0 && !begins_as_before()) {
    offset_ = 0;
    last_.clear();
    begin_anew();
  }
  if (size_ == offset_) return false;
  LineReader lines(path_, offset_);
  for (int given = 0; given < most; ++given) {
    const auto line = lines.next();
    if (!line) return false;
    offset_ = lines.offset();
    last_.assign(line->substr(line->size() - std::min(line->size(), kCompared)));
    last_ += '\n';
    visit(*line);
  }
  return true;
}

}  // namespace polariscope::runs
