// One function per experiment; each stands in the file of its name.
#pragma once

#include "polariscope/experiments/shared/experiment.h"

namespace polariscope::experiments {

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

// Its theorems and lemmas, checked along random trajectories.
Experiment a_thm3_2();
Experiment a_thm3_3();
Experiment a_lem_b_1();
Experiment a_lem3_5();
Experiment a_c1();
Experiment a_lem_d_1();
Experiment a_lem_d_2();
Experiment a_lem_d_4();

// Section 4.1: induction heads. These and the next read trainings.
Experiment a_fig1();
Experiment a_fig4();
Experiment a_fig_f2();
Experiment a_fig7();

// Section 4.2: token influence.
Experiment a_fig5();
Experiment a_fig6();
Experiment a_fig9();
Experiment a_fig_f3();

// The Lipschitz paper, what needs no training: controlled variance, norms, the bound.
Experiment b_fig2();
Experiment b_fig9();
Experiment b_prop5_2();
Experiment b_bound9();
Experiment b_eq20();

// Its trainings of in-context regression.
Experiment b_fig1();
Experiment b_fig3();
Experiment b_fig4();
Experiment b_fig6();
Experiment b_fig8();
Experiment b_fig10();
Experiment b_fig11();
Experiment b_sec4_1();
Experiment b_sec5_3();
Experiment b_app_d();
Experiment b_bound9_trained();
// Its language models.
Experiment b_fig1top();
Experiment b_fig5();
Experiment b_fig7();
Experiment a_fig7_text();
// Ours, on in-context regression.
Experiment b_norm();
Experiment b_batch();
Experiment b_forms();
Experiment b_maps();
Experiment b_mitigations();
Experiment b_alarm();

}  // namespace polariscope::experiments
