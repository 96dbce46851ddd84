// How a run is doing, from what lies in its folder.
#pragma once

#include "polariscope/runs/logged_step.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace polariscope::live {

enum class RunPhase {
  kRunning,  // a process holds it
  kStopped,  // none does, and it has not ended: the same command goes on
  kFinished,
  kStoppedByAlarm,
  kDiverged,
  kGone,  // there is no such folder any more
};
inline constexpr std::array kRunPhases{RunPhase::kRunning,        RunPhase::kStopped,  RunPhase::kFinished,
                                       RunPhase::kStoppedByAlarm, RunPhase::kDiverged, RunPhase::kGone};
std::string_view phase_name(RunPhase phase);  // "running", ..., "stopped by an alarm"

struct RunState {
  RunPhase phase = RunPhase::kRunning;
  std::optional<runs::LoggedStep> last;  // the log's last step; nothing before the first
  double written = 0.0;                  // when the log last grew, seconds since 1970; 0 without a log
  std::string note;                      // what about the folder cannot be read, in a sentence; "" where all can
};

// Of the run in `folder` at `now`, seconds since 1970. It throws nothing: what cannot be read is said in the note.
RunState run_state(const std::filesystem::path& folder, double now);

// The run's config.toml as one types it: "learning-rate" -> "0.001". Empty where it has none that can be read.
std::map<std::string, std::string> run_config(const std::filesystem::path& folder);

// Steps that a training of such a config.toml takes; 0 where it does not say.
std::int64_t planned_steps(const std::map<std::string, std::string>& config);

// Seconds since 1970, now; and when a file was last written, 0 where it is not there.
double wall_clock();
double written_at(const std::filesystem::path& path);

}  // namespace polariscope::live
