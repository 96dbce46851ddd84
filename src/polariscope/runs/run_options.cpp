#include "polariscope/runs/run_options.h"

namespace polariscope::runs {
namespace {

RescueOptions rescue_options(const Settings& settings) {
  RescueOptions o;
  const auto by = settings.get<std::string>("rescue");
  if (by == "lower") o.by = RescueOptions::By::kLower;
  if (by == "skip") o.by = RescueOptions::By::kSkip;
  settings.read("rescue_factor", o.factor);
  settings.read("rescues", o.most);
  return o;
}

}  // namespace

RunOptions run_options(const Settings& settings) {
  return {.checkpoint_seconds = settings.get<double>("checkpoint_every"),
          .on_alarm = find_on_alarm(settings.get<std::string>("on_alarm")),
          .rescue = rescue_options(settings)};
}

}  // namespace polariscope::runs
