// A language model as the loop trains it.
#pragma once

#include "polariscope/models/language/language_model.h"
#include "polariscope/runs/metrics_log.h"
#include "polariscope/train/language_batches.h"
#include "polariscope/train/language_options.h"
#include "polariscope/train/monitor.h"
#include "polariscope/train/optimiser.h"
#include "polariscope/train/trainable.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace polariscope::train {

class LanguageTraining final : public Trainable {
 public:
  // Throws Error for options that make no sense, for tokens that cannot be read, and for those whose fingerprint is
  // not that of their index.
  explicit LanguageTraining(const LanguageOptions& options);

  runs::MapShape maps() const override;
  std::int64_t steps() const override { return options_.steps; }
  // A step whose loss or gradient is not finite is recorded, but not done.
  StepNumbers advance() override;
  Checkpoint checkpoint() const override;
  void restore(const Safetensors& checkpoint, std::int64_t step) override;
  // validation.jsonl: the validation loss before the first step, every validation_every steps and after the last.
  void open_logs(const std::filesystem::path& folder) override;
  void flush_logs() override;
  // Adds losses and sizes to the result.
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override;

  const models::language::LanguageModel& model() const { return *model_; }

 private:
  double validation_loss() const;
  void log_validation(std::int64_t step);

  LanguageOptions options_;
  std::unique_ptr<models::language::LanguageModel> model_;
  LanguageBatches batches_;
  std::unique_ptr<Optimiser> optimiser_;
  std::optional<runs::MetricsLog> validation_log_;
  std::int64_t step_ = 0;
  double loss_, validation_loss_;
};

}  // namespace polariscope::train
