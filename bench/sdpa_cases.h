// ./dev bench attention --case sdpa: the forms that PyTorch's own attention has, beside it, told in docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <vector>

namespace polariscope::bench {

std::vector<Row> run_sdpa(const Settings& settings);

}  // namespace polariscope::bench
