// What `polariscope train` takes for the task in-context-regression.
#pragma once

#include "polariscope/train/regression_options.h"

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

namespace polariscope::cli {

inline constexpr std::string_view kRegressionTask = "in-context-regression";

// The parsed options as the task's, with its own defaults for those that were not given; these then are the command's,
// so that its config.toml is complete. Throws Error naming an option that has no meaning for the task, or a value that
// makes no sense.
train::RegressionOptions regression_options(CLI::App& command);

// Throws Error naming an option of in-context regression that was given for another task.
void refuse_regression_options(const CLI::App& command, const std::string& task);

}  // namespace polariscope::cli
