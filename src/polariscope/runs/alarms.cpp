#include "polariscope/runs/alarms.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"
#include "polariscope/runs/internal/resume_point.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
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

OnAlarm find_on_alarm(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{"log", "checkpoint", "stop"};
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) throw Error("--on-alarm: {}", unknown_name("reaction to an alarm", name, kNames));
  return static_cast<OnAlarm>(found - kNames.begin());
}

std::vector<WatchedStep> read_watched_steps(const std::filesystem::path& metrics) {
  const std::string text = read_file(metrics);
  std::vector<WatchedStep> steps;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    try {
      steps.push_back(watched_step(json::parse(std::string_view(text).substr(begin, end - begin))));
    } catch (const json::exception&) {
      throw Error("{}, line {}: expected a step with loss, gradient norm and the statistics of heads, as JSON",
                  metrics.string(), steps.size() + 1);
    }
    begin = end + 1;
  }
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

Alarms::Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step)
    : detector_(shape), file_(folder / "alarms.jsonl", [](std::string_view) { return 0; }) {
  if (last_step == 0) return;
  for (const WatchedStep& step : read_watched_steps(folder / "metrics.jsonl")) {
    if (step.step > last_step) break;
    for (const Alarm& alarm : detector_.step(step.step, step.gradient_norm, step.readings)) log(alarm);
  }
}

Alarms::Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step,
               std::span<const double> state)
    : detector_(shape), file_(folder / "alarms.jsonl", [last_step](std::string_view contents) {
        return bytes_up_to<StepLines>(last_step, contents);
      }) {
  constexpr std::size_t kOwn = 2;
  if (state.size() < kOwn) throw Error("alarms: a state of {} numbers, expected at least {}", state.size(), kOwn);
  count_ = static_cast<std::int64_t>(state[0]);
  first_step_ = static_cast<std::int64_t>(state[1]);
  detector_.restore(state.subspan(kOwn));
}

std::vector<double> Alarms::state() const {
  std::vector<double> state{static_cast<double>(count_), static_cast<double>(first_step_)};
  for (const double number : detector_.state()) state.push_back(number);
  return state;
}

void Alarms::log(const Alarm& alarm) {
  const nlohmann::ordered_json line{{"step", alarm.step},
                                    {"kind", alarm_kind_name(alarm.kind)},
                                    {"layer", alarm.layer},
                                    {"head", alarm.head},
                                    {"relative_entropy", alarm.relative_entropy},
                                    {"norm_share", alarm.norm_share},
                                    {"logit_variance", alarm.logit_variance},
                                    {"variance_growth", alarm.variance_growth},
                                    {"gradient_factor", alarm.gradient_factor},
                                    {"sentence", in_words(alarm)}};
  file_.append(line.dump() + "\n");
  if (count_++ == 0) first_step_ = alarm.step;
}

bool Alarms::step(std::int64_t step, double gradient_norm, std::span<const HeadReading> readings, Progress& progress) {
  const std::vector<Alarm> alarms = detector_.step(step, gradient_norm, readings);
  for (const Alarm& alarm : alarms) {
    log(alarm);
    progress.say(fmt::format("step {}: {}", alarm.step, in_words(alarm)));
  }
  return !alarms.empty();
}

}  // namespace polariscope::runs
