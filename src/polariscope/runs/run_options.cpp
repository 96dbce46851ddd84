#include "polariscope/runs/run_options.h"

namespace polariscope::runs {

RunOptions run_options(const Settings& settings) {
  return {.checkpoint_seconds = settings.get<double>("checkpoint_every"),
          .on_alarm = find_on_alarm(settings.get<std::string>("on_alarm"))};
}

}  // namespace polariscope::runs
