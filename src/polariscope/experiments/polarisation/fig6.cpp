// Figure 6 of the polarisation paper: does the most attended token decide what a model says?
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flip_runs.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace polariscope::experiments {
namespace {

// A sequence has ten tokens: one that has its fair share of influence decides one trial in ten.
constexpr double kFairShare = 0.1;

report::Claim easily_claim(const Spread& smallest) {
  return claim_on_models("A.fig6/easily",
                         "With softmax, one head and one layer the most attended token decides what the model says.",
                         "Figure 6; section 4.2", "flip rate > 1/2 in every trained model",
                         in_words(smallest, "models"), smallest, smallest.runs, smallest.low > 0.5, "attentions");
}

report::Claim only_softmax_claim(const FlipRuns& runs, const Spread& softmax) {
  std::string worst;
  Spread largest = spread_of({});
  for (const std::string& attention : runs.all.attentions()) {
    if (attention == "softmax") continue;
    const Spread rates = spread_of(metrics_of(runs.smallest(attention), "flip_rate"));
    if (rates.runs > 0 && (largest.runs == 0 || rates.high > largest.high)) {
      largest = rates;
      worst = attention;
    }
  }
  const bool others = largest.runs > 0;
  std::string words = in_words(softmax, "models");
  if (others) words += fmt::format(" against at most {} ({})", significant(largest.high, 2), worst);
  return claim_on_models("A.fig6/softmax-most", "Softmax is flipped more easily than every other attention.",
                         "Figure 6", "one head, one layer: smallest flip rate of softmax > largest of any other model",
                         std::move(words), softmax, others ? softmax.runs : 0, softmax.low > largest.high,
                         "attentions");
}

report::Figure attentions_figure(const FlipRuns& runs, const char* metric, std::string id, const std::string& title,
                                 report::CategoryChart chart, std::string caption) {
  for (const std::string& attention : runs.all.attentions()) {
    const auto all = runs.all.where(runs.headline(attention, 1, 1));
    const auto passed = learned(all);
    chart.categories.push_back({fmt::format("{} · {} of {}", attention, passed.size(), all.size()),
                                metrics_of(passed, metric), colour_of(attention)});
  }
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption),
          .alternative = title + ", one dot a trained model, by attention.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const FlipRuns runs(context);
  report::Section section;
  section.method = runs.method();
  const auto rates = [&](int layers, int heads) {
    return spread_of(metrics_of(learned(runs.all.where(runs.headline("softmax", layers, heads))), "flip_rate"));
  };
  const int most_heads = runs.most("heads"), most_layers = runs.most("layers");
  const Spread one = rates(1, 1), heads = rates(1, most_heads), layers = rates(most_layers, 1),
               both = rates(most_layers, most_heads);
  section.claims = {
      easily_claim(one), only_softmax_claim(runs, one),
      falls_claim("A.fig6/heads", "With more heads softmax is flipped less.", "Figure 6; section 4.2",
                  fmt::format("one layer: largest flip rate with {} heads < smallest with one", most_heads), one, heads,
                  "sizes"),
      falls_claim("A.fig6/layers", "With more layers softmax is flipped less.", "Figure 6; section 4.2",
                  fmt::format("one head: largest flip rate with {} layers < smallest with one", most_layers), one,
                  layers, "sizes"),
      claim_on_models("A.fig6/vanishes", "With more heads and layers the effect vanishes.", "Figure 6; section 4.2",
                      fmt::format("flip rate with {} heads and {} layers < 1/10, the fair share of one token of ten, "
                                  "in every trained model",
                                  most_heads, most_layers),
                      in_words(both, "models"), both, both.runs, both.high < kFairShare, "sizes")};
  section.findings = fmt::format(
      "Softmax, flip rate of the head that flips most: {} with one head and one layer, {} with {} heads, {} with {} "
      "layers, {} with both. Chance cannot flip: with uniform attention no single token decides.",
      in_words(one, "models"), in_words(heads, "models"), most_heads, in_words(layers, "models"), most_layers,
      in_words(both, "models"));
  const std::string filter = fmt::format(
      "One head, one layer, no MLP, no LayerNorm; beside each name how many models have accuracy > {}.", kLearned);
  section.figures = {
      attentions_figure(
          runs, "flip_rate", "attentions", "Flip rate by attention",
          {.x = {"flip rate"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {{"majority", 0.5}}}, filter),
      runs.sizes_figure(
          "sizes", "Flip rate of softmax by heads and layers", runs.headline("softmax", 0, 0), "flip_rate",
          {"flip rate"},
          "Median and range over seeds, no MLP, no LayerNorm. More heads and more layers share the decision."),
      attentions_figure(runs, "entropy", "entropy", "Entropy by attention",
                        {.x = {"attention entropy H (nats)"},
                         .categories = {},
                         .low = 0.0,
                         .high = {},
                         .references = {{"uniform, log 11", runs.uniform_entropy}}},
                        filter + " Means over all rows of the last layer, CLS among them."),
      attentions_figure(runs, "frobenius_norm", "norm", "Norm of the attention by attention",
                        {.x = {"‖P‖_F", report::Scale::kLog},
                         .categories = {},
                         .low = {},
                         .high = {},
                         .references = {{"uniform", 1.0}}},
                        filter)};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  section.runs = links_of(runs.all.where(runs.headline("softmax", 0, 0)));
  return section;
}

}  // namespace

Experiment a_fig6() {
  return {.id = "A.fig6",
          .title = "One token that decides",
          .source = "Polarisation paper, figure 6",
          .question = "Can the token that CLS attends to most turn a prediction over by itself?",
          .trainings = "token-groups",
          .run = run};
}

}  // namespace polariscope::experiments
