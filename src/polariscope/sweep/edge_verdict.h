// Whether a short training collapsed, from what it left in its folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

namespace polariscope::sweep {

// The first of these that is so:
//   diverged  a loss or gradient was not finite
//   alarm     an alarm of the collapse detector ended it (runs/collapse_detector.h)
//   loss      some tenth of its steps has a mean loss above kLossFactor times the first step's
//   entropy   over the last tenth of its steps the mean entropy of all heads is below a share of the first step's
enum class CollapseSign { kNone, kDiverged, kAlarm, kLoss, kEntropy };
std::string_view sign_name(CollapseSign sign);  // "held" of kNone

inline constexpr double kLossFactor = 1.5;  // batches differ, and a training that learns nothing has not blown up

struct EdgeVerdict {
  CollapseSign sign = CollapseSign::kNone;
  double loss =
      std::numeric_limits<double>::quiet_NaN();  // mean over the last tenth of the steps, where all were taken
};

// What the loss and the heads of metrics.jsonl in `folder` say; entropy_share: at least 0, and 0 asks for no entropy.
// Throws Error where there is no such file with steps.
EdgeVerdict verdict_of_steps(const std::filesystem::path& folder, double entropy_share);

// result: what the run's result.json says, as run_end.h has it.
EdgeVerdict verdict_of_run(const std::filesystem::path& folder, const std::string& result, double entropy_share);

// How many steps the run took; 0 where the result does not say.
std::int64_t steps_of_result(const std::string& result);

}  // namespace polariscope::sweep
