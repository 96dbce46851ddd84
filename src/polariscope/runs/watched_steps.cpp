#include "polariscope/runs/watched_steps.h"

#include "polariscope/runs/internal/read_steps.h"

#include <limits>

namespace polariscope::runs {
namespace {

using nlohmann::json;

double number_of(const json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

WatchedStep watched_step(const json& line) {
  WatchedStep step{.step = line.at("step").get<std::int64_t>(),
                   .loss = number_of(line.at("loss")),
                   .gradient_norm = number_of(line.at("gradient_norm")),
                   .readings = {}};
  const json &entropy = line.at("entropy"), &norm = line.at("frobenius_norm"), &variance = line.at("logit_variance");
  for (std::size_t layer = 0; layer < entropy.size(); ++layer) {
    for (std::size_t head = 0; head < entropy.at(layer).size(); ++head) {
      step.readings.push_back({.entropy = number_of(entropy.at(layer).at(head)),
                               .frobenius_norm = number_of(norm.at(layer).at(head)),
                               .logit_variance = number_of(variance.at(layer).at(head))});
    }
  }
  return step;
}

}  // namespace

void for_each_watched_step(const std::filesystem::path& metrics, const std::function<bool(const WatchedStep&)>& visit) {
  read_steps(metrics, "a step with loss, gradient norm and the statistics of heads, as JSON",
             [&](const json& line) { return visit(watched_step(line)); });
}

std::vector<WatchedStep> read_watched_steps(const std::filesystem::path& metrics) {
  std::vector<WatchedStep> steps;
  for_each_watched_step(metrics, [&](const WatchedStep& step) {
    steps.push_back(step);
    return true;
  });
  return steps;
}

std::vector<Alarm> alarms_of(std::span<const WatchedStep> steps, const MapShape& shape,
                             const AlarmThresholds& thresholds) {
  CollapseDetector detector(shape, thresholds);
  std::vector<Alarm> alarms;
  for (const WatchedStep& step : steps) {
    for (const Alarm& alarm : detector.step(step.step, step.gradient_norm, step.readings)) alarms.push_back(alarm);
  }
  return alarms;
}

}  // namespace polariscope::runs
