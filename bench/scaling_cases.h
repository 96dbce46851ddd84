// ./dev bench attention --case scaling --case window: how time and memory grow with the number of keys, told in
// docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <vector>

namespace polariscope::bench {

std::vector<Row> run_scaling(const Settings& settings);  // every query sees every key
std::vector<Row> run_window(const Settings& settings);   // each sees its window

}  // namespace polariscope::bench
