// A sweep's runs as values, for programs that draw conclusions from them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::sweep {

struct SweepRow {
  int run = 0;
  std::string state;              // waiting, running, done, failed
  std::string settings, metrics;  // flat JSON objects
  double seconds = 0.0;           // wall time; 0 while it has not ended
  std::string failure;            // "" unless it failed
  std::string made_by;            // a flat JSON object, made_by.h
};

// Every row of every database in `folder`, in the order of the runs. Throws Error if there is no sweep.
std::vector<SweepRow> read_rows(const std::filesystem::path& folder);

}  // namespace polariscope::sweep
