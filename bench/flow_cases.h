// The cases of ./dev bench flow: what is measured is told in docs/benchmarks.md.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace polariscope::bench {

enum class Verdict { kMet, kMissed, kNoTarget, kSkipped };

// One line of the table. `numbers` holds the same unrounded, for --json.
struct Row {
  std::string name, ours, peer, ratio, target;
  Verdict verdict = Verdict::kNoTarget;
  std::string note;  // what else is to be known; a line below the table
  nlohmann::json numbers;
};

struct Case {
  const char* name;
  const char* summary;
  bool needs_peer;  // skipped where NumPy is absent
  std::vector<Row> (*run)(int repeats);
};
const std::vector<Case>& flow_cases();

}  // namespace polariscope::bench
