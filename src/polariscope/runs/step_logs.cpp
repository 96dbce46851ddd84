#include "polariscope/runs/step_logs.h"

#include <fmt/format.h>

#include <chrono>

namespace polariscope::runs {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t kept_up_to(std::int64_t last_step) { return last_step > 0 ? last_step : -1; }

std::vector<std::string> tags_of(std::span<const NamedNumber> numbers, std::span<const NamedNumbers> lists) {
  std::vector<std::string> tags;
  for (const NamedNumber& number : numbers) tags.push_back(fmt::format("training/{}", number.name));
  for (const NamedNumbers& list : lists) {
    for (std::size_t i = 0; i < list.values.size(); ++i) {
      tags.push_back(fmt::format("{}/layer {} head {}", list.name, i / list.width + 1, i % list.width + 1));
    }
  }
  return tags;
}

}  // namespace

StepLogs::StepLogs(const std::filesystem::path& folder, std::int64_t last_step)
    : metrics_(folder / "metrics.jsonl", kept_up_to(last_step), kept_up_to(last_step)),
      events_(folder / "events.out.tfevents.polariscope", kept_up_to(last_step), wall_time()) {}

void StepLogs::write(std::int64_t step, std::span<const NamedNumber> numbers, std::span<const NamedNumbers> lists) {
  metrics_.write(step, numbers, lists);
  if (tags_.empty()) tags_ = tags_of(numbers, lists);
  std::vector<NamedNumber> points;
  points.reserve(tags_.size());
  for (const NamedNumber& number : numbers) points.push_back({tags_[points.size()], number.value});
  for (const NamedNumbers& list : lists) {
    for (const double value : list.values) points.push_back({tags_[points.size()], value});
  }
  events_.write(step, wall_time(), points);
}

void StepLogs::flush() {
  metrics_.flush();
  events_.flush();
}

}  // namespace polariscope::runs
