// The steps of a training, as its metrics.jsonl tells them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace polariscope::runs {

// Columns over the steps; NaN where a step has no finite number of that name.
struct RunLog {
  std::vector<double> step;
  std::map<std::string, std::vector<double>> numbers;              // "loss", "gradient_norm": [steps]
  std::map<std::string, std::vector<std::vector<double>>> layers;  // "entropy": [layers][steps], means over heads

  std::size_t steps() const { return step.size(); }
  // Throw Error if the log has no column of that name; layer is counted from 0.
  const std::vector<double>& number(const std::string& name) const;
  const std::vector<double>& layer(const std::string& name, std::size_t layer) const;
};

// Its whole lines, of a file of any size and of one that still grows; memory is the columns'. Throws Error for a file
// that cannot be read or a line that is no step.
RunLog read_run_log(const std::filesystem::path& path);

// Leaves out the steps after `last`, as that of a run that diverged, whose numbers are not finite; the first stays.
void cut_after(RunLog& log, double last);

}  // namespace polariscope::runs
