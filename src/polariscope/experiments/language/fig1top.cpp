// Figure 1 of the Lipschitz paper, top row: a Llama learns text.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/language_claims.h"
#include "polariscope/experiments/language/language_figures.h"

namespace polariscope::experiments {
namespace {

report::Section run(const Context& context) {
  const LanguageRuns runs(context, "llama-3m");
  report::Section section;
  section.method = runs.method();
  section.findings = runs.findings();
  section.claims = language_claims(runs, "B.fig1top", "1 (top)");
  section.figures = {four_panels(runs, "A Llama"), entropy_panels(runs)};
  section.runs = runs.links();
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences();
  return section;
}

}  // namespace

Experiment b_fig1top() {
  return {.id = "B.fig1top",
          .title = "Pretraining a Llama: loss, gradient, entropy and ‖P‖_F",
          .source = "Lipschitz paper, figure 1, top row",
          .question = "Does softmax lose its entropy on text too, and do Lipschitz kernels keep theirs?",
          .trainings = "language",
          .run = run};
}

}  // namespace polariscope::experiments
