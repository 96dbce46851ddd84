// Figure 5 of the Lipschitz paper: validation loss of language models with four attentions.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/language_figures.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {
namespace {

std::vector<std::pair<std::string, Spread>> losses_of(const LanguageRuns& runs) {
  std::vector<std::pair<std::string, Spread>> losses;
  for (const RunsOfAttention& of : runs.attentions) {
    losses.emplace_back(of.variant.name, over_runs(of, &LanguageRun::final_validation_loss));
  }
  return losses;
}

// Whether the lowest of the two kernels ends below the lowest of the two softmax forms.
report::Claim kernels_claim(const LanguageRuns& runs, const char* id, const char* what) {
  const auto losses = losses_of(runs);
  const Spread best = losses[2].second.median < losses[3].second.median ? losses[2].second : losses[3].second;
  const double softmax = std::min(losses[0].second.median, losses[1].second.median);
  const long long fewest = std::ranges::min(losses, {}, [](const auto& one) { return one.second.runs; }).second.runs;
  return claim_in_words(id, fmt::format("{} with a Lipschitz kernel ends with the lowest validation loss.", what),
                        "Section 4.1, figure 5",
                        "the lower of both kernels' median last validation losses is below both softmax forms'",
                        of_each_variant(losses), best, judged(fewest, 1, best.median < softmax), "validation");
}

report::Section run(const Context& context) {
  const LanguageRuns llama(context, "llama"), gpt2(context, "gpt2");
  report::Section section;
  section.method = llama.method();
  section.claims = {kernels_claim(llama, "B.fig5/llama", "A Llama"), kernels_claim(gpt2, "B.fig5/gpt2", "A GPT-2")};
  section.findings = fmt::format("Last validation loss, nats a token. Llama: {}. GPT-2: {}.",
                                 of_each_variant(losses_of(llama)), of_each_variant(losses_of(gpt2)));
  section.figures = {multiples_figure(
      {.id = "validation",
       .title = "Validation loss of four attentions",
       .caption = "On the same sequences of text that no training sequence reaches; "
                  "median and range over the runs of an attention. The loss before the first step is left out.",
       .alternative = "Validation loss against step, one panel a model, one colour an "
                      "attention.",
       .columns = 2},
      std::vector<Multiple>{panel("Llama", validation_chart(llama)), panel("GPT-2", validation_chart(gpt2))})};
  section.runs = llama.links();
  for (auto& link : gpt2.links()) section.runs.push_back(std::move(link));
  section.configuration = configuration_of(llama.all);
  section.differences = llama.differences();
  return section;
}

}  // namespace

Experiment b_fig5() {
  return {.id = "B.fig5",
          .title = "Validation loss of language models with four attentions",
          .source = "Lipschitz paper, figure 5",
          .question = "Which attention predicts text best?",
          .trainings = "language",
          .run = run};
}

}  // namespace polariscope::experiments
