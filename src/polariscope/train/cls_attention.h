// What CLS looks at while a classifier of token groups learns, on fixed sequences. Polarisation paper, figure 5.
#pragma once

#include "polariscope/models/model.h"
#include "polariscope/runs/metrics_log.h"
#include "polariscope/train/task_batches.h"

#include <cstdint>
#include <filesystem>

namespace polariscope::train {

// cls_attention.jsonl: a line for each of about fifty steps, evenly in their logarithm, with the label that each
// sequence is taken for and CLS's row of every head, {"step":1,"label":[...],"layer1_head1":[[...],...]}; the first
// evaluation sequences, whose tokens are the same at every step.
class ClsAttentionLog {
 public:
  // Goes on after line `last_step` of an earlier log; -1 begins a new one.
  ClsAttentionLog(const std::filesystem::path& path, std::int64_t last_step, const TaskBatches& task,
                  std::int64_t steps);

  bool wants(std::int64_t step) const;  // of 0 to steps
  void write(std::int64_t step, const models::Model& model);
  void flush() { log_.flush(); }

 private:
  Batch batch_;
  std::int64_t steps_;
  runs::MetricsLog log_;
};

}  // namespace polariscope::train
