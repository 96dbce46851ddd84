// Both logs of a run's steps: metrics.jsonl, and the same as curves for TensorBoard.
#pragma once

#include "polariscope/runs/event_file.h"
#include "polariscope/runs/metrics_log.h"
#include "polariscope/runs/named_numbers.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace polariscope::runs {

class StepLogs {
 public:
  // Continues the logs in `folder`, made if they are not there, from their last step up to `last_step`; 0 begins anew.
  // Throws Error where a file cannot be read and written, and where metrics.jsonl lacks steps up to `last_step`.
  StepLogs(const std::filesystem::path& folder, std::int64_t last_step);

  // `lists` are [layers, heads] each. The curves are training/NAME of a number and NAME/layer 1 head 1 of a list; the
  // names of the first step are those of all. Throws Error where earlier steps cannot be written.
  void write(std::int64_t step, std::span<const NamedNumber> numbers, std::span<const NamedNumbers> lists);
  // On return the steps survive a power failure.
  void flush();

 private:
  MetricsLog metrics_;
  EventFile events_;
  std::vector<std::string> tags_;
};

}  // namespace polariscope::runs
