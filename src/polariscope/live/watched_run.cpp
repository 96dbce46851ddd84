#include "polariscope/live/watched_run.h"

#include "polariscope/base/error.h"
#include "polariscope/base/fingerprint.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

namespace polariscope::live {
namespace {

// Of no other history, whichever process of whatever time it is in.
std::uint64_t new_epoch() {
  static std::atomic<std::uint64_t> last = 0;
  const auto now = static_cast<std::uint64_t>(wall_clock() * 1e6);
  std::uint64_t before = last.load(), next = 0;
  do next = std::max(before + 1, now);
  while (!last.compare_exchange_weak(before, next));
  return next;
}

std::optional<RunAlarm> alarm_of(std::string_view line) {
  try {
    const auto json = nlohmann::json::parse(line);
    RunAlarm alarm{.step = json.at("step"), .kind = json.at("kind"), .sentence = json.at("sentence")};
    if (alarm.kind == "rescue") {
      alarm.back_to = json.at("back_to");
    } else {
      alarm.layer = json.at("layer");
      alarm.head = json.at("head");
    }
    return alarm;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // not one of ours: the run is shown without it
  }
}

// Nobody works on it, and nobody did for a while.
bool is_at_rest(const RunState& state, double now) {
  constexpr double kWhile = 60.0;  // seconds
  return state.phase != RunPhase::kRunning && now > state.written + kWhile;
}

}  // namespace

WatchedRun::WatchedRun(std::filesystem::path folder, std::string name)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      id_(fmt::format("{:016x}", fingerprint(folder_.string()))),
      log_(folder_ / "metrics.jsonl"),
      alarm_log_(folder_ / "alarms.jsonl"),
      probes_(folder_ / "probes" / "latest.json"),
      reading_(std::make_shared<const RunReading>()) {
  curves_.epoch = new_epoch();
}

void WatchedRun::read_alarms() {
  try {
    const auto begin_anew = [this] {
      alarms_.clear();
      alarm_count_ = rescue_count_ = 0;
    };
    alarm_log_.read(10'000, begin_anew, [this](std::string_view line) {
      auto alarm = alarm_of(line);
      if (!alarm) return;
      ++(alarm->is_rescue() ? rescue_count_ : alarm_count_);
      if (alarms_.size() == kMostAlarms) alarms_.erase(alarms_.begin());
      alarms_.push_back(std::move(*alarm));
    });
  } catch (const Error&) {
    alarms_.clear();  // a file that cannot be read holds none
  }
}

void WatchedRun::look(double now) {
  constexpr double kRest = 10.0;  // seconds until a run at rest is looked at once more
  const std::shared_ptr<const RunReading> before = reading();
  if (looked_ > 0.0 && is_at_rest(before->state, now) && now < looked_ + kRest && now >= looked_) return;
  looked_ = now;

  auto next = std::make_shared<RunReading>();
  const double config_written = written_at(folder_ / "config.toml");
  next->config = config_written == config_written_ ? before->config : run_config(folder_);
  config_written_ = config_written;
  next->planned = planned_steps(next->config);
  next->state = run_state(folder_, now);
  if (next->state.last) rate_.see(next->state.written, next->state.last->step);
  next->rate = rate_.rate();
  read_alarms();
  next->alarms = alarms_;
  next->alarm_count = alarm_count_;
  next->rescue_count = rescue_count_;
  const std::lock_guard hold(mutex_);
  reading_ = std::move(next);
}

void WatchedRun::forget() {
  const std::lock_guard hold(mutex_);
  curves_ = {.history = {}, .epoch = new_epoch(), .read = 0.0};
  wanted_ = 0.0;
}

bool WatchedRun::read(double now) {
  constexpr int kLines = 200;
  double wanted = 0.0;
  {
    const std::lock_guard hold(mutex_);
    wanted = wanted_;
  }
  if (wanted == 0.0) return false;
  if (now > wanted + kForgetAfter) {
    log_ = runs::FollowedLog(folder_ / "metrics.jsonl");
    forget();
    return false;
  }
  bool more = false;
  try {
    const auto begin_anew = [this] {
      const std::lock_guard hold(mutex_);
      curves_ = {.history = {}, .epoch = new_epoch(), .read = 0.0};
    };
    more = log_.read(kLines, begin_anew, [this](std::string_view line) {
      const auto step = runs::logged_step(line);
      if (!step) return;
      const std::lock_guard hold(mutex_);
      curves_.history.add(*step);
    });
  } catch (const Error&) {
    more = false;  // gone between two looks, or not to be read: the reading's note says so
  }
  const std::lock_guard hold(mutex_);
  curves_.read = log_.size() == 0 ? 1.0 : static_cast<double>(log_.offset()) / static_cast<double>(log_.size());
  return more;
}

std::shared_ptr<const RunReading> WatchedRun::reading() const {
  const std::lock_guard hold(mutex_);
  return reading_;
}

}  // namespace polariscope::live
