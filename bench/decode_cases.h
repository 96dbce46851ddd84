// ./dev bench attention --case decode: few queries against a long cache, beside how long memory takes to give it and
// beside PyTorch, told in docs/benchmarks.md.
#pragma once

#include "bench/runner.h"

#include <vector>

namespace polariscope::bench {

std::vector<Row> run_decode(const Settings& settings);           // one query
std::vector<Row> run_decode_bfloat16(const Settings& settings);  // keys and values of bfloat16
std::vector<Row> run_decode_chunk(const Settings& settings);     // 16 queries

}  // namespace polariscope::bench
