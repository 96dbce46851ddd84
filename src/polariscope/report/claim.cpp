#include "polariscope/report/claim.h"

#include "polariscope/base/error.h"
#include "polariscope/report/internal/numbers.h"

#include <nlohmann/json.hpp>

namespace polariscope::report {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds: return "holds";
    case Verdict::kFails: return "fails";
    case Verdict::kInconclusive: break;
  }
  return "inconclusive";
}

std::string_view verdict_mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds: return "✓";
    case Verdict::kFails: return "✗";
    case Verdict::kInconclusive: break;
  }
  return "~";
}

void to_json(nlohmann::json& json, const Claim& claim) {
  json = {{"id", claim.id},
          {"statement", claim.statement},
          {"source", claim.source},
          {"criterion", claim.criterion},
          {"measured", claim.measured},
          {"value", number_to_json(claim.value)},
          {"low", number_to_json(claim.low)},
          {"high", number_to_json(claim.high)},
          {"runs", claim.runs},
          {"verdict", verdict_name(claim.verdict)},
          {"evidence", claim.evidence}};
}

void from_json(const nlohmann::json& json, Claim& claim) {
  json.at("id").get_to(claim.id);
  json.at("statement").get_to(claim.statement);
  json.at("source").get_to(claim.source);
  json.at("criterion").get_to(claim.criterion);
  json.at("measured").get_to(claim.measured);
  claim.value = number_from_json(json.at("value"));
  claim.low = number_from_json(json.at("low"));
  claim.high = number_from_json(json.at("high"));
  json.at("runs").get_to(claim.runs);
  json.at("evidence").get_to(claim.evidence);
  const auto verdict = json.at("verdict").get<std::string>();
  for (const Verdict candidate : {Verdict::kHolds, Verdict::kFails, Verdict::kInconclusive}) {
    if (verdict == verdict_name(candidate)) {
      claim.verdict = candidate;
      return;
    }
  }
  throw Error("claim {}: verdict must be holds, fails or inconclusive, found {}", claim.id, verdict);
}

}  // namespace polariscope::report
