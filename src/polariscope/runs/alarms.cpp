#include "polariscope/runs/alarms.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/runs/watched_steps.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace polariscope::runs {

namespace {

constexpr std::size_t kOwn = 2;  // numbers of a state before the detector's: alarms, step of the first

std::int64_t alarms_in(std::span<const double> state) {
  constexpr double kMost = 9e15;
  if (state.size() < kOwn) throw Error("alarms: a state of {} numbers, expected at least {}", state.size(), kOwn);
  if (!(state[0] >= 0.0 && state[0] <= kMost)) throw Error("alarms: a state of {} alarms: it is damaged", state[0]);
  return static_cast<std::int64_t>(state[0]);
}

// Where the first lines end, or all whole ones of a text that has fewer.
std::size_t end_of_lines(std::string_view contents, std::int64_t lines) {
  std::size_t end = 0;
  for (std::int64_t line = 0; line < lines; ++line) {
    const std::size_t next = contents.find('\n', end);
    if (next == std::string_view::npos) break;
    end = next + 1;
  }
  return end;
}

}  // namespace

OnAlarm find_on_alarm(std::string_view name) {
  constexpr std::array<std::string_view, 4> kNames{"log", "checkpoint", "stop", "rescue"};
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

Alarms::Alarms(const std::filesystem::path& folder, const MapShape& shape, std::span<const double> state,
               std::int64_t rescues)
    : detector_(shape), file_(folder / "alarms.jsonl", [&](std::string_view contents) {
        return end_of_lines(contents, alarms_in(state) + rescues);
      }) {
  count_ = alarms_in(state);
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

std::string in_words(const Rescue& r) {
  const std::string course = r.skipped > 0 ? fmt::format("without the {} batches since", r.skipped)
                                           : fmt::format("at {:.4g} of the learning rate", r.rate);
  return fmt::format("rescue {} of {}: back to step {}, and on {}", r.number, r.most, r.back_to, course);
}

void Alarms::go_back(const Rescue& rescue, std::span<const double> state, Progress& progress) {
  const nlohmann::ordered_json line{{"step", rescue.step}, {"kind", "rescue"},          {"back_to", rescue.back_to},
                                    {"rate", rescue.rate}, {"skipped", rescue.skipped}, {"sentence", in_words(rescue)}};
  file_.append(line.dump() + "\n");
  progress.say(fmt::format("step {}: {}", rescue.step, in_words(rescue)));
  alarms_in(state);
  detector_.restore(state.subspan(kOwn));
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
