#include "polariscope/sweep/edge_verdict.h"

#include "polariscope/base/error.h"
#include "polariscope/runs/logged_step.h"
#include "polariscope/runs/watched_steps.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace polariscope::sweep {
namespace {

using Steps = std::span<const runs::WatchedStep>;

double mean_loss(Steps steps) {
  double sum = 0.0;
  for (const runs::WatchedStep& step : steps) sum += step.loss;
  return sum / static_cast<double>(steps.size());
}

// Heads without an entropy, as a kernel's whose rows are all zero, say nothing.
double mean_entropy(Steps steps) {
  std::vector<double> values;
  for (const runs::WatchedStep& step : steps) {
    for (const runs::HeadReading& head : step.readings) values.push_back(head.entropy);
  }
  return runs::mean_of_finite(values);
}

}  // namespace

std::string_view sign_name(CollapseSign sign) {
  switch (sign) {
    case CollapseSign::kNone: return "held";
    case CollapseSign::kDiverged: return "diverged";
    case CollapseSign::kAlarm: return "alarm";
    case CollapseSign::kLoss: return "loss";
    case CollapseSign::kEntropy: return "entropy";
  }
  return "";
}

EdgeVerdict verdict_of_steps(const std::filesystem::path& folder, double entropy_share) {
  const std::vector<runs::WatchedStep> watched = runs::read_watched_steps(folder / "metrics.jsonl");
  if (watched.empty()) throw Error("{}: has no steps to tell a collapse from", (folder / "metrics.jsonl").string());
  const Steps steps = watched;
  const std::size_t tenth = std::max<std::size_t>(1, steps.size() / 10);
  const double loss = mean_loss(steps.last(tenth)), most = kLossFactor * steps.front().loss;
  for (std::size_t begin = 0; begin + tenth <= steps.size(); begin += tenth) {
    if (mean_loss(steps.subspan(begin, tenth)) > most) return {CollapseSign::kLoss, loss};
  }
  const bool is_low = mean_entropy(steps.last(tenth)) < entropy_share * mean_entropy(steps.first(1));
  return {is_low ? CollapseSign::kEntropy : CollapseSign::kNone, loss};
}

EdgeVerdict verdict_of_run(const std::filesystem::path& folder, const std::string& result, double entropy_share) {
  const auto json = nlohmann::json::parse(result);
  if (json.value("diverged", false)) return {.sign = CollapseSign::kDiverged};
  if (json.value("stopped_by_alarm", false)) return {.sign = CollapseSign::kAlarm};
  return verdict_of_steps(folder, entropy_share);
}

std::int64_t steps_of_result(const std::string& result) {
  return nlohmann::json::parse(result).value("steps", std::int64_t{0});
}

}  // namespace polariscope::sweep
