#include "polariscope/experiments/lipschitz/alarm_runs.h"

#include "polariscope/base/quantiles.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace polariscope::experiments {
namespace {

constexpr std::size_t kFirstSteps = 5;

void listen(AlarmRun& run, const runs::AlarmThresholds& thresholds) {
  run.alarm = run.collapse = std::nullopt;
  for (const runs::Alarm& alarm : runs::alarms_of(run.steps, run.shape, thresholds)) {
    if (!run.alarm) run.alarm = alarm;
    if (!run.collapse && alarm.kind == runs::AlarmKind::kCollapse) run.collapse = alarm;
  }
}

// first: the alarm that is judged.
void count(const AlarmRun& run, const std::optional<runs::Alarm>& first, AlarmCounts& counts) {
  if (!run.exploded) {
    ++counts.others;
    counts.false_alarms += first ? 1 : 0;
    return;
  }
  ++counts.exploded;
  const bool announced = first && first->step < run.end();
  counts.announced += announced ? 1 : 0;
  counts.before_loss += announced && first->step < run.shown ? 1 : 0;
}

double share(long long part, long long whole) { return static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

std::string AlarmRun::form() const {
  std::string form = run.settings.value("layer_form", std::string("residual"));
  const std::string norm = run.settings.value("qk_norm", std::string("no"));
  if (norm != "no") form += ", " + norm;
  if (run.attention() != "softmax") form += ", " + run.attention();
  return form;
}

std::int64_t shown_step(const std::vector<runs::WatchedStep>& steps) {
  std::vector<double> sorted;
  for (const runs::WatchedStep& step : steps) {
    if (!std::isfinite(step.loss)) return step.step;
    if (sorted.size() >= kFirstSteps && step.loss > kShownFactor * median_of_sorted(sorted)) return step.step;
    sorted.insert(std::ranges::upper_bound(sorted, step.loss), step.loss);
  }
  return 0;
}

std::vector<AlarmRun> alarm_runs(const TrainedRuns& runs) {
  std::vector<AlarmRun> read;
  for (const TrainedRun& run : runs.done()) {
    const std::filesystem::path log = run.folder / "metrics.jsonl";
    if (!std::filesystem::exists(log)) continue;
    AlarmRun one;
    one.run = run;
    one.steps = runs::read_watched_steps(log);
    if (one.steps.empty()) continue;
    one.shape = runs::map_shape(static_cast<int>(one.steps.front().readings.size()), 1, run.tokens(), false);
    one.exploded = run.metrics.value("diverged", false);
    one.shown = shown_step(one.steps);
    listen(one, {});
    read.push_back(std::move(one));
  }
  return read;
}

double AlarmCounts::recall() const { return share(announced, exploded); }
double AlarmCounts::recall_before_loss() const { return share(before_loss, exploded); }
double AlarmCounts::precision() const { return share(announced, announced + false_alarms); }

AlarmCounts counts_of(const std::vector<AlarmRun>& runs) {
  AlarmCounts counts;
  for (const AlarmRun& run : runs) count(run, run.alarm, counts);
  return counts;
}

AlarmCounts counts_with(const std::vector<AlarmRun>& runs, const runs::AlarmThresholds& thresholds) {
  AlarmCounts counts;
  for (const AlarmRun& run : runs) {
    const std::vector<runs::Alarm> alarms = runs::alarms_of(run.steps, run.shape, thresholds);
    count(run, alarms.empty() ? std::nullopt : std::optional(alarms.front()), counts);
  }
  return counts;
}

}  // namespace polariscope::experiments
