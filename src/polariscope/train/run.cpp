#include "polariscope/train/run.h"

#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/npy.h"
#include "polariscope/metrics/sink_score.h"
#include "polariscope/runs/step_logs.h"
#include "polariscope/train/cls_attention.h"
#include "polariscope/train/flip_example.h"
#include "polariscope/train/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <optional>

namespace polariscope::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kLayerNumbers{std::pair{"entropy", &LayerRecord::entropy},
                                   std::pair{"frobenius_norm", &LayerRecord::frobenius_norm},
                                   std::pair{"maximum", &LayerRecord::maximum},
                                   std::pair{"first_key", &LayerRecord::first_key},
                                   std::pair{"logit_variance", &LayerRecord::logit_variance},
                                   std::pair{"row_sum", &LayerRecord::row_sum}};

void write(runs::StepLogs& logs, const StepRecord& record) {
  const std::array<runs::NamedNumber, 3> numbers{
      {{"loss", record.loss}, {"gradient_norm", record.norms.gradient}, {"update_norm", record.norms.update}}};
  std::array<std::vector<double>, kLayerNumbers.size()> values;
  std::vector<runs::NamedNumbers> lists;
  for (std::size_t n = 0; n < kLayerNumbers.size(); ++n) {
    for (const LayerRecord& layer : record.layers) {
      const std::vector<double>& heads = layer.*kLayerNumbers[n].second;
      values[n].insert(values[n].end(), heads.begin(), heads.end());
    }
    lists.push_back({kLayerNumbers[n].first, values[n], values[n].size() / record.layers.size()});
  }
  logs.write(record.step, numbers, lists);
}

runs::MapShape shape_of(const Trainer& trainer) {
  const std::array<std::int64_t, 1> first{0};
  const auto tokens = static_cast<int>(trainer.task().batch(tasks::Split::kTraining, first).tokens.size(1));
  const models::TransformerOptions& model = trainer.model().options();
  return runs::map_shape(static_cast<int>(model.layers), static_cast<int>(model.heads), tokens, model.causal);
}

std::vector<runs::HeadReading> readings_of(const StepRecord& record) {
  std::vector<runs::HeadReading> readings;
  for (const LayerRecord& layer : record.layers) {
    for (std::size_t head = 0; head < layer.entropy.size(); ++head) {
      readings.push_back({layer.entropy[head], layer.frobenius_norm[head], layer.logit_variance[head]});
    }
  }
  return readings;
}

nlohmann::json finite_or_null(double number) {
  return std::isfinite(number) ? nlohmann::json(number) : nlohmann::json(nullptr);
}

constexpr std::array kHeadNumbers{std::pair{"entropy", &HeadEvaluation::entropy},
                                  std::pair{"relative_entropy", &HeadEvaluation::relative_entropy},
                                  std::pair{"frobenius_norm", &HeadEvaluation::frobenius_norm},
                                  std::pair{"row_sum", &HeadEvaluation::row_sum},
                                  std::pair{"sparsity", &HeadEvaluation::sparsity},
                                  std::pair{"first_token_share", &HeadEvaluation::first_token_share},
                                  std::pair{"first_token_ratio", &HeadEvaluation::first_token_ratio},
                                  std::pair{"importance", &HeadEvaluation::importance},
                                  std::pair{"sink_rate", &HeadEvaluation::sinks},
                                  std::pair{"flip_rate", &HeadEvaluation::flips}};

nlohmann::json heads_json(const Evaluation& evaluation) {
  nlohmann::json heads = nlohmann::json::array();
  for (const HeadEvaluation& head : evaluation.heads) {
    nlohmann::json one{{"layer", head.layer + 1}, {"head", head.head + 1}};
    for (const auto& [name, member] : kHeadNumbers) {
      if ((head.*member).count() == 0) continue;
      one[name] = finite_or_null((head.*member).value());
      one[std::string(name) + "_deviation"] = finite_or_null((head.*member).standard_deviation());
    }
    one["sink_score"] = finite_or_null(metrics::sink_score(head.first_token_share));
    heads.push_back(std::move(one));
  }
  return heads;
}

// The last layer's heads decide figure 4; the largest flip rate of any head figure 6.
nlohmann::json result_json(const Evaluation& evaluation, const Trainer& trainer, const runs::Alarms& alarms,
                           bool stopped_by_alarm) {
  const std::int64_t last = trainer.options().layers - 1;
  double sinks = 0.0, ratio_sinks = 0.0, flips = 0.0;
  metrics::Mean score, entropy, relative, frobenius, sparsity, row_sum, importance;
  bool any_flips = false;
  for (const HeadEvaluation& head : evaluation.heads) {
    if (head.flips.count() > 0) {
      any_flips = true;
      flips = std::max(flips, head.flips.value());
    }
    if (head.layer != last) continue;
    const double of_head = metrics::sink_score(head.first_token_share);
    score.add(of_head);
    sinks += of_head > metrics::kSinkScoreThreshold ? 1.0 : 0.0;
    ratio_sinks += head.first_token_ratio.value() > metrics::kSinkScoreThreshold ? 1.0 : 0.0;
    entropy.add(head.entropy.value());
    relative.add(head.relative_entropy.value());
    frobenius.add(head.frobenius_norm.value());
    sparsity.add(head.sparsity.value());
    row_sum.add(head.row_sum.value());
    importance.add(head.importance.value());
  }
  const auto heads = static_cast<double>(trainer.options().heads);
  nlohmann::json result{{"steps", trainer.step()},        {"training_loss", trainer.loss()},
                        {"loss", evaluation.loss},        {"accuracy", evaluation.accuracy},
                        {"sink_fraction", sinks / heads}, {"sink_fraction_public_code", ratio_sinks / heads},
                        {"alarms", alarms.count()},       {"stopped_by_alarm", stopped_by_alarm}};
  if (alarms.count() > 0) result["first_alarm_step"] = alarms.first_step();
  const auto put = [&](const char* name, const metrics::Mean& mean) {
    if (mean.count() > 0) result[name] = mean.value();
  };
  put("sink_score", score);
  put("importance", importance);
  put("entropy", entropy);
  put("relative_entropy", relative);
  put("frobenius_norm", frobenius);
  put("sparsity", sparsity);
  put("row_sum", row_sum);
  if (any_flips) result["flip_rate"] = flips;
  return result;
}

std::string maps_npy(const Evaluation& evaluation) {
  std::vector<NpyField> fields;
  for (const HeadEvaluation& head : evaluation.heads) {
    fields.push_back({.name = fmt::format("layer{}_head{}", head.layer + 1, head.head + 1),
                      .width = static_cast<std::size_t>(evaluation.length),
                      .values = head.map});
  }
  return npy_records(static_cast<std::size_t>(evaluation.length), fields);
}

}  // namespace

void run_training(const TrainingOptions& options, const runs::RunOptions& run, const std::filesystem::path& folder,
                  Progress progress) {
  if (std::filesystem::exists(folder / "result.json")) return;
  Trainer trainer(options);
  make_folder(folder / "checkpoint");
  const std::filesystem::path checkpoint = folder / "checkpoint" / "last.safetensors";
  if (std::filesystem::exists(checkpoint)) trainer.read_checkpoint(checkpoint);
  runs::StepLogs logs(folder, trainer.step());
  const bool groups = trainer.options().task == "token-groups";
  std::optional<ClsAttentionLog> cls;
  if (groups) {
    cls.emplace(folder / "cls_attention.jsonl", trainer.step() > 0 ? trainer.step() : -1, trainer.task(),
                trainer.steps());
    if (trainer.step() == 0) cls->write(0, trainer.model());
  }
  runs::Alarms alarms(folder, shape_of(trainer), trainer.step());
  const auto stopped = [&] { return run.on_alarm == runs::OnAlarm::kStop && alarms.count() > 0; };
  const auto keep = [&] {
    if (cls) cls->flush();
    alarms.flush();
    logs.flush();  // before the checkpoint, which goes on from their last line
    trainer.write_checkpoint(checkpoint);
  };
  auto kept = Clock::now();
  while (trainer.step() < trainer.steps() && !stopped()) {
    const StepRecord record = trainer.advance();
    write(logs, record);
    const bool alarm = alarms.step(record.step, record.norms.gradient, readings_of(record), progress);
    if (alarm && run.on_alarm == runs::OnAlarm::kCheckpoint) {
      trainer.write_checkpoint(folder / "checkpoint" / fmt::format("alarm-{}.safetensors", record.step));
    }
    if (cls && cls->wants(record.step)) cls->write(record.step, trainer.model());
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
  const Evaluation evaluation = evaluate(trainer.model(), trainer.task(), trainer.options());
  write_file(folder / "attention.npy", maps_npy(evaluation));
  if (groups) write_file(folder / "flip_example.json", flip_example(trainer.model(), trainer.task(), evaluation));
  write_file(folder / "heads.json", heads_json(evaluation).dump(1) + "\n");
  write_file(folder / "result.json", result_json(evaluation, trainer, alarms, stopped()).dump(1) + "\n");
  progress.finish(stopped() ? fmt::format("stopped by the alarm of step {}", alarms.first_step())
                            : fmt::format("accuracy {:.4g}", evaluation.accuracy));
}

}  // namespace polariscope::train
