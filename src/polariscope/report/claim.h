// A claim of a paper as a plain value: what is said, what was measured, whether it holds.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace polariscope::report {

enum class Verdict { kHolds, kFails, kInconclusive };

std::string_view verdict_name(Verdict verdict);  // "holds", "fails", "inconclusive"
std::string_view verdict_mark(Verdict verdict);  // "✓", "✗", "~"

struct Claim {
  std::string id;         // unique within the report: "A.thm3.2/order"
  std::string statement;  // one sentence
  std::string source;     // "Theorem 3.2", "Figure 2, left"
  std::string criterion;  // how the verdict is computed: "margin >= -1e-9 on every trajectory"
  std::string measured;   // the figure with its spread, as a person reads it: "0.975 ± 0.003 (5 seeds)"
  double value = 0.0;     // the same figure for machines; NaN where there is none
  double low = 0.0;       // smallest and largest over the runs
  double high = 0.0;
  long long runs = 1;  // how many runs (seeds, trajectories) it was measured on
  Verdict verdict = Verdict::kInconclusive;
  std::string evidence;  // id of the figure that shows it; "" for none
};

void to_json(nlohmann::json& json, const Claim& claim);
void from_json(const nlohmann::json& json, Claim& claim);

}  // namespace polariscope::report
