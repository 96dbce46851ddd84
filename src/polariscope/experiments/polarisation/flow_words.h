// Starts and integrators as a report words them, from the options that run.
#pragma once

#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"

#include <string>

namespace polariscope::experiments {

// "0.1·N(0, 1)", "N(0, 1)", "1 + 0.1·N(0, 1)", "0".
std::string normal_in_words(double scale, double offset = 0.0);
std::string values_in_words(const flow::StartOptions& start);  // V₀
std::string scores_in_words(const flow::StartOptions& start);  // a₀

// "CVODE, BDF in log t, relative tolerance 1e-9".
std::string integrator_in_words(const flow::FlowOptions& options);

}  // namespace polariscope::experiments
