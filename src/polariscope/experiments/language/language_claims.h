// What figures 1 (top) and 7 of the Lipschitz paper claim of language models.
#pragma once

#include "polariscope/experiments/language/language_runs.h"
#include "polariscope/report/claim.h"

#include <string>
#include <vector>

namespace polariscope::experiments {

// What the text says of entropy, ‖P‖_F and loss, of both shapes; ids begin with `experiment`.
std::vector<report::Claim> language_claims(const LanguageRuns& runs, const std::string& experiment,
                                           const std::string& figure);

}  // namespace polariscope::experiments
