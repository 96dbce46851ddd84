// The rows of the table of options (runs/options.h), and the tasks that they have defaults for.
#pragma once

#include "polariscope/runs/options.h"

#include <string_view>
#include <vector>

namespace polariscope::runs {

inline constexpr std::string_view kInduction = "induction", kTokenGroups = "token-groups",
                                  kRegression = "in-context-regression", kLanguage = "language-model";

// In the order in which help and config.toml have them; those of kExecution last.
std::vector<Option> option_rows();

}  // namespace polariscope::runs
