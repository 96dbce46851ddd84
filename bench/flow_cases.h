// The cases of ./dev bench flow: what is measured is told in docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <vector>

namespace polariscope::bench {

const std::vector<Case>& flow_cases();

}  // namespace polariscope::bench
