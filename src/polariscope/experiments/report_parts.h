// What every report of experiments has in common.
#pragma once

#include "polariscope/experiments/experiment.h"
#include "polariscope/report/page.h"

#include <string>

namespace polariscope {

// Runs the experiment; its section says which it is and how long it took. Throws as Experiment::run.
Section named_section(const Experiment& experiment, const Context& context);

// Gives the page its title, the time, the machine, the version and the definitions.
void dress(Page& page, std::string title);

}  // namespace polariscope
