#include "polariscope/train/transformer_training.h"

#include "polariscope/base/files.h"
#include "polariscope/train/evaluation.h"
#include "polariscope/train/evaluation_files.h"
#include "polariscope/train/flip_example.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <string>

namespace polariscope::train {

runs::MapShape TransformerTraining::maps() const {
  const models::ModelShape& model = trainer_.model().shape();
  return runs::map_shape(static_cast<int>(model.layers), static_cast<int>(model.heads),
                         static_cast<int>(trainer_.task().length()), model.causal);
}

void TransformerTraining::open_logs(const std::filesystem::path& folder) {
  if (trainer_.options().task != "token-groups") return;
  const std::int64_t step = trainer_.step();
  cls_.emplace(folder / "cls_attention.jsonl", step > 0 ? step : -1, trainer_.task(), trainer_.steps());
  if (step == 0) cls_->write(0, trainer_.model());
}

void TransformerTraining::flush_logs() {
  if (cls_) cls_->flush();
}

StepNumbers TransformerTraining::advance() {
  const StepRecord record = trainer_.advance();
  const bool done = trainer_.step() == record.step;
  if (done && cls_ && cls_->wants(record.step)) cls_->write(record.step, trainer_.model());
  return {.step = record.step,
          .loss = record.loss,
          .gradient_norm = record.gradient_norm,
          .update_norm = record.update_norm,
          .heads = head_numbers(record.layers)};
}

std::string TransformerTraining::finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) {
  const Evaluation evaluation = evaluate(trainer_.model(), trainer_.task(), trainer_.options());
  write_file(folder / "attention.npy", maps_npy(evaluation));
  if (cls_) write_file(folder / "flip_example.json", flip_example(trainer_.model(), trainer_.task(), evaluation));
  write_file(folder / "heads.json", heads_json(evaluation));
  result["training_loss"] =
      result.at("diverged").get<bool>() ? std::numeric_limits<double>::quiet_NaN() : trainer_.loss();
  add_numbers(evaluation, trainer_.options().layers - 1, result);
  result = nlohmann::json(result);
  return fmt::format("accuracy {:.4g}", evaluation.accuracy);
}

}  // namespace polariscope::train
