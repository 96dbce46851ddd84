#include "polariscope/train/run.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/reweighting/simd_target_name.h"
#include "polariscope/runs/alarms.h"
#include "polariscope/runs/metrics_log.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/step_logs.h"
#include "polariscope/train/internal/rescue_points.h"
#include "polariscope/train/internal/run_checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polariscope::train {

void Trainable::set_course(const Course&) {
  throw Error("this kind of training cannot be rescued: it has no course of its own (train/trainable.h)");
}

std::string Trainable::note(const StepNumbers& numbers) const { return fmt::format("loss {:.4g}", numbers.loss); }

namespace {

namespace fs = std::filesystem;
using By = runs::RescueOptions::By;
using Clock = std::chrono::steady_clock;

const std::vector<double>& named(const StepNumbers& numbers, std::string_view name) {
  const auto found = std::ranges::find(numbers.heads, name, &HeadNumbers::name);
  if (found == numbers.heads.end()) throw Error("step {} has no \"{}\" of its heads to watch", numbers.step, name);
  return found->values;
}

std::vector<runs::HeadReading> readings_of(const StepNumbers& numbers) {
  const std::vector<double>&entropy = named(numbers, "entropy"), &norm = named(numbers, "frobenius_norm"),
        &variance = named(numbers, "logit_variance");
  std::vector<runs::HeadReading> readings;
  for (std::size_t i = 0; i < entropy.size(); ++i) readings.push_back({entropy[i], norm.at(i), variance.at(i)});
  return readings;
}

// With how many threads the run was trained, on which a transformer's last bits depend; "1 + 2" where it went on with
// another number.
nlohmann::json threads_of(const fs::path& folder) {
  std::vector<int> numbers;
  for (const runs::Provenance& one : runs::read_provenance(folder)) {
    if (numbers.empty() || numbers.back() != one.threads) numbers.push_back(one.threads);
  }
  if (numbers.size() == 1) return numbers.front();
  return fmt::format("{}", fmt::join(numbers, " + "));
}

class Loop {
 public:
  Loop(Trainable& training, const runs::RunOptions& options, const runs::RunFolder& folder, Progress& progress)
      : training_(training),
        options_(options),
        folder_(folder.path()),
        config_(folder.config()),
        progress_(progress),
        heads_(static_cast<std::size_t>(training.maps().heads)),
        state_(restore_run(training, last(), config_)),
        points_(folder_ / "checkpoint"),
        logs_(std::in_place, folder_, state_.step),
        alarms_(state_.alarms.empty()
                    ? runs::Alarms(folder_, training.maps(), state_.step)
                    : runs::Alarms(folder_, training.maps(), state_.alarms, std::ssize(state_.course.turns()))) {
    training.open_logs(folder_);
    if (!rescues()) return;
    training.set_course(state_.course);
    points_.forget_after(step_);
    if (points_.empty()) write(points_.path(step_), training_.checkpoint());
  }

  void run() {
    while (step_ < training_.steps() && !diverged_ && !stopped()) {
      advance();
      const bool due = options_.checkpoints &&
                       std::chrono::duration<double>(Clock::now() - kept_).count() > options_.checkpoint_seconds;
      if (due || interrupted()) {
        keep();
        stop_if_interrupted();
      }
    }
    keep();
    points_.forget();
    if (diverged_) write(folder_ / "checkpoint" / "before_divergence.safetensors", training_.before_divergence());
    finish();
  }

 private:
  fs::path last() const { return folder_ / "checkpoint" / "last.safetensors"; }
  bool rescues() const { return options_.rescue.by != By::kNothing; }
  std::int64_t rescued() const { return std::ssize(state_.course.turns()); }
  bool stopped() const {
    return (options_.on_alarm == runs::OnAlarm::kStop || rescues()) && alarms_.count() > state_.answered;
  }
  std::int64_t last_finite() const { return diverged_ ? step_ - 1 : step_; }

  void advance() {
    const StepNumbers numbers = training_.advance();
    step_ = numbers.step;
    diverged_ = !std::isfinite(numbers.loss) || !std::isfinite(numbers.gradient_norm);
    log(numbers);
    // A step that is not finite is taken again after a resume, so nothing that is kept may have seen it.
    const bool alarm = !diverged_ && alarms_.step(step_, numbers.gradient_norm, readings_of(numbers), progress_);
    if (alarm && options_.on_alarm == runs::OnAlarm::kCheckpoint) {
      write(folder_ / "checkpoint" / fmt::format("alarm-{}.safetensors", step_), training_.checkpoint());
    }
    if (progress_.active()) {
      progress_.update(static_cast<std::uint64_t>(step_), training_.note(numbers));
    }
    if (!rescues()) return;
    if (alarm || diverged_) {
      if (rescued() < options_.rescue.most) rescue();
    } else if (step_ % RescuePoints::kEvery == 0) {
      write(points_.path(step_), training_.checkpoint());
      points_.forget_before(step_);
    }
  }

  // All that is told is on the disk before the checkpoint that goes on from the step gone back to, and all that is cut
  // off is cut after it: whoever is killed before it takes the same way to it again, after it the resume cuts.
  void rescue() {
    const std::int64_t back = points_.before(step_);
    const bool lower = options_.rescue.by == By::kLower;
    Course course = state_.course;
    course.turn({.after = back, .factor = lower ? options_.rescue.factor : 1.0, .skipped = lower ? 0 : step_ - back});
    const runs::Rescue told{.step = step_,
                            .back_to = back,
                            .number = rescued() + 1,
                            .most = options_.rescue.most,
                            .rate = course.rate(back + 1),
                            .skipped = course.turns().back().skipped};
    logs_->flush();
    write_file(folder_ / fmt::format("rescue-{}.jsonl", told.number),
               runs::lines_after(folder_ / "metrics.jsonl", back));
    alarms_.go_back(told, restore_run(training_, points_.path(back), config_).alarms, progress_);
    training_.set_course(course);
    state_ = {.step = back, .course = std::move(course), .answered = alarms_.count()};
    step_ = back;
    diverged_ = false;
    keep();
    points_.forget_after(back);
    logs_.emplace(folder_, back);
    training_.open_logs(folder_);
  }

  void log(const StepNumbers& numbers) {
    const std::array<runs::NamedNumber, 3> three{
        {{"loss", numbers.loss}, {"gradient_norm", numbers.gradient_norm}, {"update_norm", numbers.update_norm}}};
    std::vector<runs::NamedNumbers> lists;
    for (const HeadNumbers& one : numbers.heads) lists.push_back({one.name, one.values, heads_});
    logs_->write(numbers.step, three, lists);
  }

  // Logs first: the checkpoint goes on from their last line.
  void keep() {
    training_.flush_logs();
    alarms_.flush();
    logs_->flush();
    write(last(), training_.checkpoint());
    kept_ = Clock::now();
  }

  void write(const fs::path& path, Checkpoint checkpoint) {
    state_.step = last_finite();
    state_.alarms = alarms_.state();
    write_run_checkpoint(path, std::move(checkpoint), state_, config_);
  }

  std::string ending(const std::string& headline) const {
    if (diverged_) return fmt::format("not finite after step {}", last_finite());
    if (!stopped()) return headline;
    if (rescued() > 0) return fmt::format("stopped at step {}, after {} rescues", step_, rescued());
    return fmt::format("stopped by the alarm of step {}", alarms_.first_step());
  }

  void finish() {
    nlohmann::ordered_json result{{"steps", step_},
                                  {"diverged", diverged_},
                                  {"last_finite_step", last_finite()},
                                  {"threads", threads_of(folder_)},
                                  {"alarms", alarms_.count()},
                                  {"stopped_by_alarm", stopped()}};
    if (alarms_.count() > 0) result["first_alarm_step"] = alarms_.first_step();
    if (rescues()) result["rescues"] = rescued();
    const std::string headline = training_.finish(folder_, result);
    write_file(folder_ / "result.json", result.dump(1) + "\n");
    progress_.finish(ending(headline));
  }

  Trainable& training_;
  const runs::RunOptions& options_;
  fs::path folder_;
  std::string config_;
  Progress& progress_;
  std::size_t heads_;
  RunState state_;                   // what was last kept, and on which course the run is
  std::int64_t step_ = state_.step;  // of the last line of the log
  bool diverged_ = false;
  RescuePoints points_;
  std::optional<runs::StepLogs> logs_;
  runs::Alarms alarms_;
  Clock::time_point kept_ = Clock::now();
};

}  // namespace

void run_training(Trainable& training, const runs::RunOptions& options, const runs::RunFolder& folder,
                  Progress progress) {
  if (fs::exists(folder.path() / "result.json")) return;
  make_folder(folder.path() / "checkpoint");
  Loop loop(training, options, folder, progress);
  runs::record_provenance(folder.path(),
                          runs::provenance(reweighting::simd_target_name(), options.threads, options.libtorch));
  loop.run();
}

}  // namespace polariscope::train
