#include "polariscope/train/regression_run.h"

#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/runs/step_logs.h"
#include "polariscope/train/regression_trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kLayerNumbers{std::pair{"entropy", &models::AttentionOnlyStatistics::entropy},
                                   std::pair{"entropy_deviation", &models::AttentionOnlyStatistics::entropy_deviation},
                                   std::pair{"frobenius_norm", &models::AttentionOnlyStatistics::frobenius_norm},
                                   std::pair{"maximum", &models::AttentionOnlyStatistics::maximum},
                                   std::pair{"first_key", &models::AttentionOnlyStatistics::first_key},
                                   std::pair{"logit_variance", &models::AttentionOnlyStatistics::logit_variance},
                                   std::pair{"skewness", &models::AttentionOnlyStatistics::skewness},
                                   std::pair{"row_sum", &models::AttentionOnlyStatistics::row_sum},
                                   std::pair{"dead_rows", &models::AttentionOnlyStatistics::dead_rows}};

void write(runs::StepLogs& logs, const RegressionRecord& record) {
  const std::array<runs::NamedNumber, 3> numbers{
      {{"loss", record.loss}, {"gradient_norm", record.gradient_norm}, {"update_norm", record.update_norm}}};
  std::array<std::vector<double>, kLayerNumbers.size()> values;
  std::vector<runs::NamedNumbers> lists;
  for (std::size_t n = 0; n < kLayerNumbers.size(); ++n) {
    for (const models::AttentionOnlyStatistics& layer : record.layers)
      values[n].push_back(layer.*kLayerNumbers[n].second);
    lists.push_back({kLayerNumbers[n].first, values[n], 1});
  }
  logs.write(record.step, numbers, lists);
}

std::vector<runs::HeadReading> readings_of(const RegressionRecord& record) {
  std::vector<runs::HeadReading> readings;
  for (const models::AttentionOnlyStatistics& layer : record.layers) {
    readings.push_back({layer.entropy, layer.frobenius_norm, layer.logit_variance});
  }
  return readings;
}

// Flat, and without what is not finite: a sweep takes every name for a column.
nlohmann::ordered_json result_json(const RegressionTrainer& trainer, const runs::Alarms& alarms,
                                   bool stopped_by_alarm) {
  const RegressionRecord& last = trainer.last_finite();
  nlohmann::ordered_json result{{"steps", trainer.step()},
                                {"diverged", trainer.diverged()},
                                {"last_finite_step", last.step},
                                {"alarms", alarms.count()},
                                {"stopped_by_alarm", stopped_by_alarm}};
  if (alarms.count() > 0) result["first_alarm_step"] = alarms.first_step();
  const auto put = [&](const std::string& name, double value) {
    if (std::isfinite(value)) result[name] = value;
  };
  if (last.step == 0) return result;
  put("loss", last.loss);
  put("gradient_norm", last.gradient_norm);
  put("update_norm", last.update_norm);
  for (const auto& [name, member] : kLayerNumbers) {
    for (std::size_t layer = 0; layer < last.layers.size(); ++layer) {
      put(fmt::format("{}_layer{}", name, layer + 1), last.layers[layer].*member);
    }
  }
  return result;
}

}  // namespace

void run_regression(const RegressionOptions& options, const runs::RunOptions& run, int threads,
                    const std::filesystem::path& folder, Progress progress) {
  if (std::filesystem::exists(folder / "result.json")) return;
  RegressionTrainer trainer(options, threads);
  make_folder(folder / "checkpoint");
  const std::filesystem::path checkpoint = folder / "checkpoint" / "last.safetensors";
  if (std::filesystem::exists(checkpoint)) trainer.read_checkpoint(checkpoint);
  runs::StepLogs logs(folder, trainer.step());
  const runs::MapShape shape =
      runs::map_shape(static_cast<int>(options.layers), 1, static_cast<int>(options.tokens), false);
  runs::Alarms alarms(folder, shape, trainer.step());
  const auto stopped = [&] { return run.on_alarm == runs::OnAlarm::kStop && alarms.count() > 0; };
  const auto keep = [&] {
    alarms.flush();
    logs.flush();  // before the checkpoint, which goes on from their last line
    trainer.write_checkpoint(checkpoint);
  };
  auto kept = Clock::now();
  while (trainer.step() < options.steps && !trainer.diverged() && !stopped()) {
    const RegressionRecord record = trainer.advance();
    write(logs, record);
    const bool alarm = alarms.step(record.step, record.gradient_norm, readings_of(record), progress);
    if (alarm && run.on_alarm == runs::OnAlarm::kCheckpoint) {
      trainer.write_checkpoint(folder / "checkpoint" / fmt::format("alarm-{}.safetensors", record.step));
    }
    if (progress.active()) progress.update(record.step, fmt::format("loss {:.4g}", record.loss));
    const bool due =
        run.checkpoints && std::chrono::duration<double>(Clock::now() - kept).count() > run.checkpoint_seconds;
    if (due || interrupted()) {
      keep();
      kept = Clock::now();
      stop_if_interrupted();
    }
  }
  keep();
  if (trainer.diverged()) {
    trainer.write_last_finite(folder / "checkpoint" / "before_divergence.safetensors");
  }
  write_file(folder / "result.json", result_json(trainer, alarms, stopped()).dump(1) + "\n");
  progress.finish(trainer.diverged() ? fmt::format("not finite after step {}", trainer.last_finite().step)
                  : stopped()        ? fmt::format("stopped by the alarm of step {}", alarms.first_step())
                                     : fmt::format("loss {:.4g}", trainer.last_finite().loss));
}

}  // namespace polariscope::train
