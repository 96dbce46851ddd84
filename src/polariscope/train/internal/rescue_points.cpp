#include "polariscope/train/internal/rescue_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>

namespace polariscope::train {
namespace {

constexpr std::string_view kBegin = "rescue-", kEnd = ".safetensors";

// A point that cannot be removed is in nobody's way but the disk's: the next step tries again.
void remove_point(const std::filesystem::path& path) {
  std::error_code unknown;
  std::filesystem::remove(path, unknown);
}

}  // namespace

std::filesystem::path RescuePoints::path(std::int64_t step) const {
  return folder_ / fmt::format("{}{}{}", kBegin, step, kEnd);
}

std::vector<std::int64_t> RescuePoints::steps() const {
  std::vector<std::int64_t> steps;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    std::int64_t step = -1;
    if (!name.starts_with(kBegin)) continue;
    std::from_chars(name.data() + kBegin.size(), name.data() + name.size(), step);
    if (step >= 0 && entry.path() == path(step)) steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

std::int64_t RescuePoints::before(std::int64_t step) const {
  const std::vector<std::int64_t> all = steps();
  const auto end = std::ranges::upper_bound(all, step - kBack);
  return end == all.begin() ? all.front() : *(end - 1);
}

void RescuePoints::forget_before(std::int64_t step) const {
  for (const std::int64_t one : steps()) {
    if (one < step - kBack - kEvery) remove_point(path(one));
  }
}

void RescuePoints::forget_after(std::int64_t step) const {
  for (const std::int64_t one : steps()) {
    if (one > step) remove_point(path(one));
  }
}

void RescuePoints::forget() const { forget_after(-1); }

}  // namespace polariscope::train
