#include "polariscope/runs/alarms.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/runs/internal/resume_point.h"
#include "polariscope/runs/watched_steps.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace polariscope::runs {

OnAlarm find_on_alarm(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{"log", "checkpoint", "stop"};
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) throw Error("{}", unknown_name("reaction to an alarm", name, kNames));
  return static_cast<OnAlarm>(found - kNames.begin());
}

Alarms::Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step)
    : detector_(shape), file_(folder / "alarms.jsonl", [](std::string_view) { return 0; }) {
  if (last_step == 0) return;
  for_each_watched_step(folder / "metrics.jsonl", [&](const WatchedStep& step) {
    if (step.step > last_step) return false;
    for (const Alarm& alarm : detector_.step(step.step, step.gradient_norm, step.readings)) log(alarm);
    return true;
  });
}

Alarms::Alarms(const std::filesystem::path& folder, const MapShape& shape, std::int64_t last_step,
               std::span<const double> state)
    : detector_(shape), file_(folder / "alarms.jsonl", [last_step](std::string_view contents) {
        return last_up_to<StepLines>(last_step, contents).end;
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
