#include "polariscope/experiments/language/pretraining.h"

#include "polariscope/experiments/language/language_claims.h"
#include "polariscope/experiments/language/language_figures.h"

namespace polariscope::experiments {

report::Section pretraining(const LanguageRuns& runs, const Pretraining& of) {
  report::Section section;
  section.method = runs.method();
  section.findings = runs.findings();
  section.claims = language_claims(runs, of.experiment, of.figure);
  section.figures = {four_panels(runs, of.what), entropy_panels(runs)};
  section.runs = runs.links();
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences();
  return section;
}

}  // namespace polariscope::experiments
