// How a run ended.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace polariscope::sweep {

struct RunEnd {
  int run = 0;
  std::string failure = "";    // why, in one line; "" where it succeeded
  std::string metrics = "{}";  // its result, a flat JSON object; null for what is not finite
  double seconds = 0.0;        // wall time
  std::string made_by = "{}";  // made_by.h
};

// What the result.json of a run's folder says: success, or a failure if it is no flat object of numbers, texts and
// booleans, or if one of its numbers is not finite (null, NaN, "nan", "inf"). Nothing where there is no such file;
// since it is written whole and last, a run that has one is complete, however its process ended. `run` is left 0;
// `seconds` are from the file config.toml to this one.
std::optional<RunEnd> read_result(const std::filesystem::path& folder);

// How a process without a result ended, from its status as waitpid gives it, and what it wrote to standard error:
// "killed by SIGSEGV", "exit code 3: polariscope: no memory", "no result".
std::string failure_of(int status, const std::string& errors);

}  // namespace polariscope::sweep
