// A language model as the loop trains it.
#pragma once

#include "polariscope/models/language/language_model.h"
#include "polariscope/runs/metrics_log.h"
#include "polariscope/train/gradient_buckets.h"
#include "polariscope/train/language_batches.h"
#include "polariscope/train/language_options.h"
#include "polariscope/train/monitor.h"
#include "polariscope/train/optimiser.h"
#include "polariscope/train/ranks.h"
#include "polariscope/train/trainable.h"

#include <chrono>
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
  // Rank 0's ends the others' follow().
  ~LanguageTraining() override;

  // From now on each batch is shared by ranks, all of which were told the same options. Before the first step.
  void share(std::shared_ptr<Ranks> ranks);
  // Of the other ranks: does what rank 0's training is asked to do, to its end. They start from what rank 0 starts
  // from and write no files.
  void follow();

  runs::MapShape maps() const override;
  std::int64_t steps() const override { return options_.steps; }
  // A step whose loss or gradient is not finite is recorded, but not done.
  StepNumbers advance() override;
  Checkpoint checkpoint() const override;
  void restore(const Safetensors& checkpoint, std::int64_t step) override;
  void set_course(const Course& course) override { course_ = course; }
  // validation.jsonl: the validation loss before the first step, every validation_every steps and after the last; and
  // probes/latest.json, what every head looks at then in a stretch of validation text.
  void open_logs(const std::filesystem::path& folder) override;
  void flush_logs() override;
  // Adds losses and sizes to the result.
  std::string note(const StepNumbers& numbers) const override;
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override;

  const models::language::LanguageModel& model() const { return *model_; }

 private:
  // What rank 0 asks of the others: to end, to start from what it has, or to take a step.
  enum class Task : std::int64_t { kEnd, kStart, kStep };
  struct Command {
    Task task = Task::kEnd;
    std::int64_t batch = 0;  // of a step: its batch, and the share of its scheduled learning rate
    double rate = 1.0;
  };
  Command told(const Command& command);  // what rank 0 says, on every rank
  Command next_step() const;
  void start_together();  // from what rank 0 has
  void take_step(const Command& step, StepNumbers& numbers);
  void sum_over_ranks(StepNumbers& numbers, std::vector<LayerRecord>& layers, std::vector<std::vector<double>>& scores);
  double validation_loss() const;
  void log_validation(std::int64_t step);

  LanguageOptions options_;
  std::shared_ptr<Ranks> ranks_;  // null: alone
  std::unique_ptr<models::language::LanguageModel> model_;
  LanguageBatches batches_;
  std::unique_ptr<Optimiser> optimiser_;
  std::optional<GradientBuckets> buckets_;
  std::optional<runs::MetricsLog> validation_log_;
  std::filesystem::path probes_;  // the folder
  Course course_;
  bool together_ = false;  // all ranks hold the same
  std::int64_t step_ = 0;
  std::chrono::steady_clock::time_point began_{};  // with the logs, after first_step_
  std::int64_t first_step_ = 0;
  double loss_, validation_loss_;
};

}  // namespace polariscope::train
