#include "polariscope/train/run.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/reweighting/simd_target_name.h"
#include "polariscope/runs/alarms.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/step_logs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace polariscope::train {

std::string Trainable::note(const StepNumbers& numbers) const { return fmt::format("loss {:.4g}", numbers.loss); }

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// -1 where the file names none.
std::int64_t step_of(const Safetensors& file) {
  const std::string word = word_of(file, "step");
  std::int64_t step = -1;
  const auto [rest, failure] = std::from_chars(word.data(), word.data() + word.size(), step);
  return failure == std::errc() && rest == word.data() + word.size() ? step : -1;
}

// What a checkpoint holds beside the training's own: a tensor of what the alarms of later steps depend on, and the
// words of the run's config.toml. Those of version 0.1.0 have neither.
constexpr const char *kAlarmState = "alarms", *kConfig = "config";

// Where a checkpoint leaves the training; step 0 where there is none.
struct Resumed {
  std::int64_t step = 0;
  std::vector<double> alarms;  // none where it keeps none: the log is watched again
};

Resumed resumed(Trainable& training, const fs::path& checkpoint, const std::string& config) {
  if (!fs::exists(checkpoint)) return {};
  const Safetensors file(checkpoint);
  try {
    const std::string kept = word_of(file, kConfig);
    if (const auto lines = runs::first_difference(kept, config); lines && !kept.empty()) {
      throw Error("it is of one with \"{}\" where this one has \"{}\"", lines->first, lines->second);
    }
    const std::int64_t step = step_of(file);
    if (step < 0 || step > training.steps()) throw Error("it is of no step from 0 to {}", training.steps());
    training.restore(file, step);
    const StoredTensor* alarms = file.find(kAlarmState);
    return {step, alarms != nullptr ? to_doubles(*alarms) : std::vector<double>()};
  } catch (const Error& error) {
    throw Error("{} is no checkpoint of this run: {}", checkpoint.string(), error.what());
  }
}

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
        resumed_(resumed(training, last(), config_)),
        step_(resumed_.step),
        logs_(folder_, step_),
        alarms_(resumed_.alarms.empty() ? runs::Alarms(folder_, training.maps(), step_)
                                        : runs::Alarms(folder_, training.maps(), step_, resumed_.alarms)) {
    training.open_logs(folder_);
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
    if (diverged_) write(folder_ / "checkpoint" / "before_divergence.safetensors", training_.before_divergence());
    finish();
  }

 private:
  fs::path last() const { return folder_ / "checkpoint" / "last.safetensors"; }
  bool stopped() const { return options_.on_alarm == runs::OnAlarm::kStop && alarms_.count() > 0; }
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
  }

  void log(const StepNumbers& numbers) {
    const std::array<runs::NamedNumber, 3> three{
        {{"loss", numbers.loss}, {"gradient_norm", numbers.gradient_norm}, {"update_norm", numbers.update_norm}}};
    std::vector<runs::NamedNumbers> lists;
    for (const HeadNumbers& one : numbers.heads) lists.push_back({one.name, one.values, heads_});
    logs_.write(numbers.step, three, lists);
  }

  // Logs first: the checkpoint goes on from their last line.
  void keep() {
    training_.flush_logs();
    alarms_.flush();
    logs_.flush();
    write(last(), training_.checkpoint());
    kept_ = Clock::now();
  }

  void write(const fs::path& path, Checkpoint checkpoint) const {
    const std::vector<double> alarms = alarms_.state();
    checkpoint.tensors.push_back({.name = kAlarmState,
                                  .dtype = Dtype::kF64,
                                  .shape = {static_cast<std::int64_t>(alarms.size())},
                                  .bytes = std::as_bytes(std::span(alarms))});
    if (!config_.empty()) checkpoint.metadata[kConfig] = config_;
    checkpoint.metadata["step"] = fmt::format("{}", last_finite());
    write_safetensors(path, checkpoint.tensors, checkpoint.metadata);
  }

  void finish() {
    nlohmann::ordered_json result{{"steps", step_},
                                  {"diverged", diverged_},
                                  {"last_finite_step", last_finite()},
                                  {"threads", threads_of(folder_)},
                                  {"alarms", alarms_.count()},
                                  {"stopped_by_alarm", stopped()}};
    if (alarms_.count() > 0) result["first_alarm_step"] = alarms_.first_step();
    const std::string headline = training_.finish(folder_, result);
    write_file(folder_ / "result.json", result.dump(1) + "\n");
    progress_.finish(diverged_   ? fmt::format("not finite after step {}", last_finite())
                     : stopped() ? fmt::format("stopped by the alarm of step {}", alarms_.first_step())
                                 : headline);
  }

  Trainable& training_;
  const runs::RunOptions& options_;
  fs::path folder_;
  std::string config_;
  Progress& progress_;
  std::size_t heads_;
  Resumed resumed_;
  std::int64_t step_;  // of the last line of the log
  bool diverged_ = false;
  runs::StepLogs logs_;
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
