// What every report of experiments has in common.
#pragma once

#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/report/page.h"

#include <string>

namespace polariscope::experiments {

// Runs the experiment; its section says which it is and how long it took. Throws as Experiment::run.
report::Section named_section(const Experiment& experiment, const Context& context);

// Gives the page its title, the time, the machine, the version and the definitions.
void dress(report::Page& page, std::string title);

}  // namespace polariscope::experiments
