// A transformer on one of the polarisation paper's tasks as the loop trains it.
#pragma once

#include "polariscope/train/cls_attention.h"
#include "polariscope/train/trainable.h"
#include "polariscope/train/trainer.h"

#include <optional>

namespace polariscope::train {

class TransformerTraining final : public Trainable {
 public:
  // Throws Error for options that make no sense.
  explicit TransformerTraining(const TrainingOptions& options) : trainer_(options) {}

  runs::MapShape maps() const override;
  std::int64_t steps() const override { return trainer_.steps(); }
  StepNumbers advance() override;
  Checkpoint checkpoint() const override { return trainer_.checkpoint(); }
  void restore(const Safetensors& checkpoint, std::int64_t step) override { trainer_.restore(checkpoint, step); }
  void set_course(const Course& course) override { trainer_.set_course(course); }
  // Of token groups cls_attention.jsonl.
  void open_logs(const std::filesystem::path& folder) override;
  void flush_logs() override;
  // Leaves attention.npy, heads.json and, of token groups, flip_example.json. The result's names are sorted; the loss
  // of a training that diverged is null, which a sweep counts as failed.
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override;

 private:
  Trainer trainer_;
  std::optional<ClsAttentionLog> cls_;
};

}  // namespace polariscope::train
