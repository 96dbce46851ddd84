// One function per experiment; each stands in the file of its name.
#pragma once

#include "polariscope/experiments/experiment.h"

namespace polariscope {

// The polarisation paper, section 3: the value–softmax model.
Experiment a_fig2();
Experiment a_fig3();
Experiment a_fig10();
Experiment a_fig11();
Experiment a_fig12();
Experiment a_fig13();
Experiment a_rows();
Experiment a_linear();
Experiment a_phase();

}  // namespace polariscope
