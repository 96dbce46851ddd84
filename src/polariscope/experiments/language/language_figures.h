// Figures of language models' trainings, as the Lipschitz paper prints them.
#pragma once

#include "polariscope/experiments/language/language_runs.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/figure.h"

#include <string>

namespace polariscope::experiments {

// The validation losses of a shape: a line an attention, the median over its runs, with their range. The loss before
// the first step would flatten the rest and is left out.
report::SeriesChart validation_chart(const LanguageRuns& runs);

// The paper's four panels: loss, gradient norm, the first layer's entropy, ‖P‖_F.
report::Figure four_panels(const LanguageRuns& runs, const std::string& what);
// Mean entropy, one panel a layer.
report::Figure entropy_panels(const LanguageRuns& runs);

}  // namespace polariscope::experiments
