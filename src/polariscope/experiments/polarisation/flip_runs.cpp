#include "polariscope/experiments/polarisation/flip_runs.h"

#include "polariscope/metrics/flip_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

constexpr int kTokens = 11;  // ten and CLS

std::vector<int> numbers_of(const TrainedRuns& runs, const char* setting) {
  std::vector<int> numbers;
  for (const json& value : runs.values_of(setting)) numbers.push_back(value.get<int>());
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace

FlipRuns::FlipRuns(const Context& context) : all(context), uniform_entropy(std::log(kTokens)) {}

json FlipRuns::headline(const std::string& attention, int layers, int heads) const {
  const auto or_any = [](int number) { return number > 0 ? json(number) : json(); };
  return {{"attention", attention}, {"vocabulary", kHeadlineVocabulary}, {"mlp", false},
          {"layer_norm", false},    {"layers", or_any(layers)},          {"heads", or_any(heads)}};
}

std::vector<TrainedRun> FlipRuns::smallest(const std::string& attention) const {
  return learned(all.where(headline(attention, 1, 1)));
}

int FlipRuns::most(const char* setting) const {
  const std::vector<int> numbers = numbers_of(all, setting);
  return numbers.empty() ? 0 : numbers.back();
}

report::SeriesChart FlipRuns::sizes_chart(const json& settings, const char* metric, report::Axis y) const {
  report::SeriesChart chart{.x = {"heads"}, .y = std::move(y), .series = {}, .references = {}};
  for (const int layers : numbers_of(all, "layers")) {
    report::Series line{.name = fmt::format("{} layer{}", layers, layers == 1 ? "" : "s"),
                        .x = {},
                        .y = {},
                        .low = {},
                        .high = {},
                        .colour = ""};
    for (const int heads : numbers_of(all, "heads")) {
      json at = settings;
      at["layers"] = layers;
      at["heads"] = heads;
      const Spread spread = spread_of(metrics_of(learned(all.where(at)), metric));
      if (spread.runs == 0) continue;
      line.x.push_back(heads);
      line.y.push_back(spread.median);
      line.low.push_back(spread.low);
      line.high.push_back(spread.high);
    }
    chart.series.push_back(std::move(line));
  }
  return chart;
}

report::Figure FlipRuns::sizes_figure(std::string id, const std::string& title, const json& settings,
                                      const char* metric, report::Axis y, std::string caption) const {
  const report::SeriesChart chart = sizes_chart(settings, metric, std::move(y));
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption),
          .alternative = title + ", one line a number of layers, with the range over seeds.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

std::string FlipRuns::method() const {
  return fmt::format(
      "Transformers learn from which of four groups ten tokens come, by a CLS token at the end. Of {} pairs of "
      "sequences with different labels the token that CLS attends to most is swapped into the other, both ways; a flip "
      "is the prediction of the label that the one token came from. The largest rate of any head counts. Models with "
      "accuracy > {} are looked at, {} of {}. {}",
      metrics::FlipRateOptions{}.pairs, kLearned, learned(all.done()).size(), all.done().size(), all.count_in_words());
}

std::string FlipRuns::differences(const Context& context) const {
  std::string text = fmt::format(
      "With vocabulary {} every sequence of a label holds the same ten tokens in another order; {} is the headline.",
      kOrderAloneVocabulary, kHeadlineVocabulary);
  if (context.paper()) return text;
  return text + fmt::format(
                    " Left out: attentions other than softmax with more than one head or layer; two heads, except with "
                    "vocabulary {} and neither MLP nor LayerNorm; MLP and LayerNorm with the other vocabularies.",
                    kHeadlineVocabulary);
}

report::Claim claim_on_models(std::string id, std::string statement, std::string source, std::string criterion,
                              std::string words, const Spread& measured, long long models, bool holds,
                              std::string evidence) {
  return claim_in_words(
      std::move(id), std::move(statement), std::move(source),
      fmt::format("{}; accuracy > {}; inconclusive under {} models", criterion, kLearned, kFewestModels),
      std::move(words), measured, judged(models, kFewestModels, holds), std::move(evidence));
}

report::Claim falls_claim(std::string id, std::string statement, std::string source, std::string criterion,
                          const Spread& few, const Spread& many, std::string evidence) {
  return claim_on_models(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                         fmt::format("{} → {}", in_words(few, "models"), in_words(many, "models")), many,
                         std::min(few.runs, many.runs), many.high < few.low, std::move(evidence));
}

}  // namespace polariscope::experiments
