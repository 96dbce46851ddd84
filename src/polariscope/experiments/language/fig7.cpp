// Figure 7 of the Lipschitz paper: a GPT-2 learns text.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/language_claims.h"
#include "polariscope/experiments/language/language_figures.h"

namespace polariscope::experiments {
namespace {

report::Section run(const Context& context) {
  const LanguageRuns runs(context, "gpt2-15m");
  report::Section section;
  section.method = runs.method();
  section.findings = runs.findings();
  section.claims = language_claims(runs, "B.fig7", "7");
  section.figures = {four_panels(runs, "A GPT-2"), entropy_panels(runs)};
  section.runs = runs.links();
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences();
  return section;
}

}  // namespace

Experiment b_fig7() {
  return {.id = "B.fig7",
          .title = "Pretraining a GPT-2: loss, gradient, entropy and ‖P‖_F",
          .source = "Lipschitz paper, figure 7",
          .question = "Does softmax lose its entropy on text too, and do Lipschitz kernels keep theirs?",
          .trainings = "language",
          .run = run};
}

}  // namespace polariscope::experiments
