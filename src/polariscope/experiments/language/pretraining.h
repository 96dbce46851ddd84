// What figures 1 (top) and 7 of the Lipschitz paper have in common: four attentions while one shape of model learns
// text.
#pragma once

#include "polariscope/experiments/language/language_runs.h"
#include "polariscope/report/section.h"

#include <string>

namespace polariscope::experiments {

struct Pretraining {
  std::string experiment, figure;  // "B.fig7", "7"
  std::string what;                // "A GPT-2"
};

report::Section pretraining(const LanguageRuns& runs, const Pretraining& of);

}  // namespace polariscope::experiments
