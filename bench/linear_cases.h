// ./dev bench attention --case linear: kernels in linear time beside all pairs and PyTorch, told in docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <vector>

namespace polariscope::bench {

std::vector<Row> run_linear(const Settings& settings);

}  // namespace polariscope::bench
