// The cases of ./dev bench attention: what is measured is told in docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <string>
#include <vector>

namespace polariscope::bench {

const std::vector<Case>& attention_cases();
// Why PyTorch cannot run here, "" where it can.
std::string attention_obstacle();

}  // namespace polariscope::bench
