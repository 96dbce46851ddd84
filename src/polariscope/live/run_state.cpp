#include "polariscope/live/run_state.h"

#include "polariscope/base/config.h"
#include "polariscope/base/error.h"
#include "polariscope/base/file_lock.h"
#include "polariscope/base/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <system_error>

namespace polariscope::live {
namespace {

namespace fs = std::filesystem;

// A run that no lock tells about, as other programs write them: at work as long as its log grows.
constexpr double kSilence = 30.0;

bool is_there(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

// Of a run that has ended, as its result.json says.
RunPhase end_of_run(const fs::path& result, std::string& note) {
  try {
    const auto json = nlohmann::json::parse(read_file(result), nullptr, /*allow_exceptions=*/false);
    const auto says = [&](const char* name) { return json.is_object() && json.value(name, nlohmann::json()) == true; };
    if (says("diverged")) return RunPhase::kDiverged;
    if (says("stopped_by_alarm")) return RunPhase::kStoppedByAlarm;
  } catch (const Error& error) {
    note = error.what();
  }
  return RunPhase::kFinished;
}

RunPhase phase_of(const fs::path& folder, double silent, std::string& note) {
  if (!is_there(folder)) return RunPhase::kGone;
  if (is_there(folder / "result.json")) return end_of_run(folder / "result.json", note);
  if (FileLock::is_held(folder / ".lock")) return RunPhase::kRunning;
  return !is_there(folder / "config.toml") && silent < kSilence ? RunPhase::kRunning : RunPhase::kStopped;
}

// 0 where the config has no such number.
double number_in(const std::map<std::string, std::string>& config, const std::string& name) {
  const auto found = config.find(name);
  double number = 0.0;
  if (found != config.end()) {
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), number);
  }
  return number;
}

}  // namespace

std::string_view phase_name(RunPhase phase) {
  switch (phase) {
    case RunPhase::kRunning: return "running";
    case RunPhase::kStopped: return "stopped";
    case RunPhase::kFinished: return "finished";
    case RunPhase::kStoppedByAlarm: return "stopped by an alarm";
    case RunPhase::kDiverged: return "diverged";
    case RunPhase::kGone: return "gone";
  }
  return "";
}

RunState run_state(const fs::path& folder, double now) {
  RunState state;
  const fs::path log = folder / "metrics.jsonl";
  state.written = written_at(log);
  state.phase = phase_of(folder, now - state.written, state.note);
  state.last = runs::last_logged_step(log);
  if (state.last || state.written == 0.0) return state;
  std::error_code unknown;
  if (fs::file_size(log, unknown) > 0) state.note = fmt::format("{} has no line that is a step", log.string());
  return state;
}

std::map<std::string, std::string> run_config(const fs::path& folder) {
  std::map<std::string, std::string> config;
  try {
    const Config read = Config::read(folder / "config.toml");
    for (const auto& [name, entry] : read.entries()) config[name] = plain_text(entry.value);
  } catch (const Error&) {
    config.clear();  // another program's, or none: the run is shown without its settings
  }
  return config;
}

std::int64_t planned_steps(const std::map<std::string, std::string>& config) {
  constexpr double kMost = 9e15;
  double steps = number_in(config, "steps");
  if (!(steps > 0)) {
    const double batches = std::ceil(number_in(config, "training-sequences") / number_in(config, "batch"));
    steps = number_in(config, "epochs") * batches;
  }
  return steps > 0 && steps < kMost ? static_cast<std::int64_t>(steps) : 0;
}

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double written_at(const fs::path& path) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return 0.0;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

}  // namespace polariscope::live
