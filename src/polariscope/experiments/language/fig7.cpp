// Figure 7 of the Lipschitz paper: a GPT-2 learns text.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/pretraining.h"

namespace polariscope::experiments {
namespace {

report::Section run(const Context& context) {
  return pretraining(LanguageRuns(context, "gpt2"), {.experiment = "B.fig7", .figure = "7", .what = "A GPT-2"});
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
