// One function per experiment; each stands in the file of its name.
#pragma once

#include "polariscope/experiments/experiment.h"

namespace polariscope {

// The polarisation paper, section 3: the value–softmax model.
Experiment a_fig2();

}  // namespace polariscope
