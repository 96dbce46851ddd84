// One line of a metrics.jsonl, whatever names stand in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::runs {

// NaN where there is no finite number.
struct LoggedNumber {
  std::string name;  // "loss"
  double value = 0.0;
};
struct LoggedHeads {
  std::string name;                         // "entropy"
  std::vector<std::vector<double>> values;  // [layers][heads]
};
struct LoggedStep {
  std::int64_t step = 0;
  std::vector<LoggedNumber> numbers;
  std::vector<LoggedHeads> heads;
};

// Nothing where the line is no step as MetricsLog writes it.
std::optional<LoggedStep> logged_step(std::string_view line);

// The file's last whole line that is a step, read from its end; nothing where there is none, or no file that can be
// read.
std::optional<LoggedStep> last_logged_step(const std::filesystem::path& metrics);

// Of numbers of which some may be NaN: of the others; NaN where there are none.
double mean_of_finite(const std::vector<double>& values);

}  // namespace polariscope::runs
