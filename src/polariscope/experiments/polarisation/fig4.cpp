// Figure 4 of the polarisation paper: which attentions turn heads of an induction model into sinks.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/sink_runs.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/metrics/sink_score.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

report::Claim sinks_claim(const std::string& attention, const Spread& sinks) {
  const bool expected = kind_of(attention) == reweighting::WeightKind::kNormalised;
  return claim_in_words(fmt::format("A.fig4/{}", attention),
                        fmt::format("{}, {}, {}.", attention, name_of(kind_of(attention)),
                                    expected ? "turns heads into sinks" : "turns no head into a sink"),
                        "Figure 4; section 4.1",
                        fmt::format("fraction of layer-2 heads with sink score > {} is {} in every trained model with "
                                    "accuracy > {}; inconclusive under {} of them",
                                    metrics::kSinkScoreThreshold, expected ? "above 0" : "0", kLearned, kFewestModels),
                        in_words(sinks, "models"), sinks,
                        judged(sinks.runs, kFewestModels, expected ? sinks.low > 0.0 : sinks.high == 0.0), "sinks");
}

// The sink score itself, without a threshold: does the lowest of the one kind stand above the highest of the other?
report::Claim order_claim(const SinkRuns& runs) {
  std::vector<double> normalised, others;
  for (const std::string& attention : runs.attentions) {
    const Spread score = spread_of(metrics_of(runs.learned_by(attention), "sink_score"));
    if (score.runs < kFewestModels || kind_of(attention) == reweighting::WeightKind::kUniform) continue;
    (kind_of(attention) == reweighting::WeightKind::kNormalised ? normalised : others).push_back(score.median);
  }
  const Spread low = spread_of(normalised), high = spread_of(others);
  const bool both = low.runs > 0 && high.runs > 0;
  return claim_in_words(
      "A.fig4/order", "Every normalised positive attention has higher sink scores than any other attention.",
      "Figure 4; ours",
      fmt::format("smallest median sink score of a normalised positive attention > largest median of any other; "
                  "attentions with {} trained models at least",
                  kFewestModels),
      both ? fmt::format("{} to {} against {} to {}", significant(low.low, 3), significant(low.high, 3),
                         significant(high.low, 3), significant(high.high, 3))
           : "too few models",
      low, judged(std::min(low.runs, high.runs), 1, low.low > high.high), "score");
}

report::Figure metric_figure(const SinkRuns& runs, std::string id, const std::string& title, std::string caption,
                             const char* metric, report::CategoryChart chart) {
  for (const std::string& attention : runs.attentions) {
    chart.categories.push_back(runs.category(attention, metric));
  }
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption) + " Beside each name: how many trained models pass the filter.",
          .alternative = title + ", one dot a trained model, by attention.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

std::string medians(const SinkRuns& runs, reweighting::WeightKind kind, const char* metric) {
  std::vector<std::string> words;
  for (const std::string& attention : runs.attentions) {
    if (kind_of(attention) != kind) continue;
    const Spread spread = spread_of(metrics_of(runs.learned_by(attention), metric));
    words.push_back(spread.runs == 0 ? fmt::format("{} none trained", attention)
                                     : fmt::format("{} {}", attention, significant(spread.median, 2)));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

report::Section run(const Context& context) {
  const SinkRuns runs(context);
  report::Section section;
  section.method = runs.method();
  section.findings = fmt::format(
      "Median fraction of sink heads: normalised positive {}; unnormalised {}; signed {}. Median entropy of layer 2 in "
      "nats: normalised positive {}; unnormalised {}; signed, of |w|/Σ|w|, {}.",
      medians(runs, reweighting::WeightKind::kNormalised, "sink_fraction"),
      medians(runs, reweighting::WeightKind::kUnnormalised, "sink_fraction"),
      medians(runs, reweighting::WeightKind::kSigned, "sink_fraction"),
      medians(runs, reweighting::WeightKind::kNormalised, "entropy"),
      medians(runs, reweighting::WeightKind::kUnnormalised, "entropy"),
      medians(runs, reweighting::WeightKind::kSigned, "entropy"));
  for (const std::string& attention : runs.attentions) {
    if (kind_of(attention) == reweighting::WeightKind::kUniform) continue;
    const auto trained = runs.learned_by(attention);
    section.claims.push_back(sinks_claim(attention, spread_of(metrics_of(trained, "sink_fraction"))));
  }
  section.claims.push_back(order_claim(runs));
  const std::string filter = fmt::format("Models with accuracy > {}.", kLearned);
  section.figures = {
      metric_figure(runs, "sinks", "Fraction of sink heads in layer 2", filter, "sink_fraction",
                    {.x = {"fraction of sink heads"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {}}),
      metric_figure(
          runs, "score", "Sink score of layer 2",
          filter + " The mean of the heads, before any threshold. Of signed attentions it divides by a sum whose terms "
                   "may cancel.",
          "sink_score",
          {.x = {"sink score"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {sink_threshold()}}),
      metric_figure(runs, "importance", "Attention to the first token, by Gu et al.", filter, "importance",
                    {.x = {"importance α of the first token"},
                     .categories = {},
                     .low = 0.0,
                     .high = 1.0,
                     .references = {{"Gu et al.: sink", 0.3}}}),
      metric_figure(runs, "entropy", "Entropy of layer 2",
                    filter + " Of attentions with negative weights the entropy is of |w|/Σ|w|.", "entropy",
                    {.x = {"attention entropy H (nats)"},
                     .categories = {},
                     .low = 0.0,
                     .high = {},
                     .references = {{"causal uniform", runs.uniform_entropy}}}),
      metric_figure(runs, "norm", "Norm of layer 2's attention", filter, "frobenius_norm",
                    {.x = {"‖P‖_F", report::Scale::kLog},
                     .categories = {},
                     .low = {},
                     .high = {},
                     .references = {{"causal uniform", runs.uniform_norm}, {"one-hot", runs.one_hot_norm}}}),
      metric_figure(runs, "accuracy", "Accuracy of every training", "Without the filter.", "accuracy",
                    {.x = {"induction accuracy"},
                     .categories = {},
                     .low = 0.0,
                     .high = 1.0,
                     .references = {{fmt::format("filter {}", kLearned), kLearned}}})};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  section.runs = links_of(runs.every);
  return section;
}

}  // namespace

Experiment a_fig4() {
  return {.id = "A.fig4",
          .title = "Which attentions form sinks",
          .source = "Polarisation paper, figure 4",
          .question = "Do sinks come from the softmax, from normalising, or from positive weights?",
          .trainings = "induction",
          .run = run};
}

}  // namespace polariscope::experiments
