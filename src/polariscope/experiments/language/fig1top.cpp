// Figure 1 of the Lipschitz paper, top row: a Llama learns text.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/pretraining.h"

namespace polariscope::experiments {
namespace {

report::Section run(const Context& context) {
  return pretraining(LanguageRuns(context, "llama"),
                     {.experiment = "B.fig1top", .figure = "1 (top)", .what = "A Llama"});
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
