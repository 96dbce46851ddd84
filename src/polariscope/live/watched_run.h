// One run that is followed: what its folder says now, and on demand every curve of its log.
#pragma once

#include "polariscope/live/probes.h"
#include "polariscope/live/rate_meter.h"
#include "polariscope/live/run_state.h"
#include "polariscope/live/step_history.h"
#include "polariscope/runs/followed_log.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace polariscope::live {

// A line of alarms.jsonl.
struct RunAlarm {
  std::int64_t step = 0;
  std::string kind, sentence;
  int layer = 0, head = 0;    // counted from 1; 0 of a rescue
  std::int64_t back_to = -1;  // of a rescue: the step that the run went back to

  bool is_rescue() const { return back_to >= 0; }
};

// What is known of a run at a moment.
struct RunReading {
  RunState state;
  std::map<std::string, std::string> config;
  std::int64_t planned = 0;                        // steps that it will take; 0 where that is not known
  double rate = 0.0;                               // steps a second
  std::vector<RunAlarm> alarms;                    // the last kMostAlarms of them, rescues among them
  std::int64_t alarm_count = 0, rescue_count = 0;  // of all
};

// The curves of a run, as far as its log was read.
struct RunCurves {
  StepHistory history;
  std::uint64_t epoch = 0;  // another one whenever the log is read anew, in this process or the next
  double read = 0.0;        // share of the log that was read
};

// look() and read() are for one thread, all else is for any.
class WatchedRun {
 public:
  static constexpr std::size_t kMostAlarms = 500;

  // A name for people, which no other run has.
  WatchedRun(std::filesystem::path folder, std::string name);

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& name() const { return name_; }
  // Of 16 hexadecimal digits: what requests name it by, the same as long as the folder keeps its place.
  const std::string& id() const { return id_; }

  // Looks at the folder. `now`: seconds since 1970.
  void look(double now);
  // Reads some of the log's next lines where somebody wants them; whether more are there. A history that nobody asked
  // for within kForgetAfter is forgotten.
  bool read(double now);

  std::shared_ptr<const RunReading> reading() const;
  // As ProbeFile::probes().
  std::shared_ptr<const Probes> probes() { return probes_.probes(); }
  // From now on the log is read and kept up with. Calls visit(curves), which no reading disturbs.
  template <class Visit>
  auto with_curves(double now, const Visit& visit) {
    const std::lock_guard hold(mutex_);
    wanted_ = now;
    return visit(curves_);
  }

 private:
  static constexpr double kForgetAfter = 120.0;  // seconds
  void forget();
  void read_alarms();

  std::filesystem::path folder_;
  std::string name_, id_;
  RateMeter rate_;
  runs::FollowedLog log_, alarm_log_;
  std::vector<RunAlarm> alarms_;
  std::int64_t alarm_count_ = 0, rescue_count_ = 0;
  double config_written_ = 0.0, looked_ = 0.0;
  ProbeFile probes_;

  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const RunReading> reading_;
  RunCurves curves_;
  double wanted_ = 0.0;
};

}  // namespace polariscope::live
