// Figure 7 of the polarisation paper: how sparse the heads of a softmax model are, and those of a sigmoid model.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/published_heads.h"
#include "polariscope/experiments/polarisation/sink_runs.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

namespace polariscope::experiments {
namespace {

constexpr const char* kSoftmax = "softmax";
constexpr const char* kSigmoid = "sigmoid";
constexpr const char* kKernel = "elu1_kernel/sum";
constexpr std::array kAttentions{kSoftmax, kSigmoid, kKernel};
constexpr int kBins = 20;  // of [0, 1]

// A number of every head of the models that learned, by seed.
struct Heads {
  std::map<std::int64_t, std::vector<double>> by_seed = {};

  std::vector<double> all() const {
    std::vector<double> values;
    for (const auto& [seed, heads] : by_seed) values.insert(values.end(), heads.begin(), heads.end());
    return values;
  }
  std::vector<double> medians() const {
    std::vector<double> values;
    for (const auto& [seed, heads] : by_seed) values.push_back(spread_of(heads).median);
    return values;
  }
};

Heads heads_of(const SinkRuns& runs, const std::string& attention, const char* number) {
  Heads heads;
  for (const TrainedRun& run : runs.learned_by(attention)) {
    for (const auto& head : run.heads()) {
      const auto found = head.find(number);
      if (found == head.end() || !found->is_number()) continue;
      heads.by_seed[run.whole_setting("seed")].push_back(found->get<double>());
    }
  }
  return heads;
}

// By how much softmax's median is above the other's, in every seed that both have.
std::vector<double> leads(const Heads& softmax, const Heads& other) {
  std::vector<double> values;
  for (const auto& [seed, heads] : softmax.by_seed) {
    const auto found = other.by_seed.find(seed);
    if (found != other.by_seed.end()) values.push_back(spread_of(heads).median - spread_of(found->second).median);
  }
  return values;
}

std::string medians_in_words(const Heads& heads) { return in_words(spread_of(heads.medians()), "seeds"); }

report::Claim less_sparse_claim(const std::string& attention, const char* source, const Heads& softmax,
                                const Heads& other) {
  const Spread lead = spread_of(leads(softmax, other));
  return claim_in_words(
      fmt::format("A.fig7/{}", attention), fmt::format("Heads of {} are less sparse than those of softmax.", attention),
      source,
      fmt::format(
          "median over heads of the sparsity score (E.2) is below softmax's in every seed; models with accuracy "
          "> {}, inconclusive under {} seeds",
          kLearned, kFewestModels),
      lead.runs == 0 ? "no seed of both"
                     : fmt::format("{} against softmax's {}", medians_in_words(other), medians_in_words(softmax)),
      lead, judged(lead.runs, kFewestModels, lead.low > 0.0), "sparsity");
}

// The paper's code takes the maximum as it is of its sigmoid model, whose rows do not sum to 1.
report::Claim raw_claim(const Heads& softmax, const Heads& ratio, const Heads& raw) {
  const std::vector<double> by_ratio = leads(softmax, ratio), by_raw = leads(softmax, raw);
  bool same = by_ratio.size() == by_raw.size();
  for (std::size_t i = 0; same && i < by_raw.size(); ++i) same = by_ratio[i] * by_raw[i] > 0.0;
  const Spread lead = spread_of(by_raw);
  return claim_in_words(
      "A.fig7/raw-maximum",
      "The raw maximum, which the public code takes, puts the sigmoid's heads on the same side of softmax's as E.2's "
      "ratio.",
      "Figure 7; E.2; ours",
      fmt::format("in every seed the median of the sigmoid's heads stands on the same side of softmax's by the raw "
                  "maximum as by the ratio; inconclusive under {} seeds",
                  kFewestModels),
      lead.runs == 0 ? "no seed of both"
                     : fmt::format("raw {}, ratio {}, softmax {}", medians_in_words(raw), medians_in_words(ratio),
                                   medians_in_words(softmax)),
      lead, judged(lead.runs, kFewestModels, same), "sparsity");
}

report::Series histogram_of(const std::string& name, const std::vector<double>& values) {
  report::Series series{.name = name,
                        .x = {},
                        .y = std::vector<double>(kBins, 0.0),
                        .low = {},
                        .high = {},
                        .colour = colour_of(name),
                        .dashed = is_dashed(name)};
  for (int bin = 0; bin < kBins; ++bin) series.x.push_back((bin + 0.5) / kBins);
  for (const double value : values) {
    if (value >= 0.0 && value <= 1.0) {
      series.y[std::min<std::size_t>(kBins - 1, static_cast<std::size_t>(value * kBins))] +=
          1.0 / static_cast<double>(values.size());
    }
  }
  return series;
}

report::Figure histogram_figure(const std::map<std::string, Heads>& ratios) {
  report::SeriesChart chart{
      .x = {"sparsity score of a head"}, .y = {"part of the heads"}, .series = {}, .references = {}};
  std::vector<std::string> counts;
  for (const char* attention : kAttentions) {
    const std::vector<double> all = ratios.at(attention).all();
    if (all.empty()) continue;
    chart.series.push_back(histogram_of(attention, all));
    counts.push_back(fmt::format("{} of {}", counted(std::ssize(all)), attention));
  }
  return {.id = "sparsity",
          .title = "Sparsity of the heads",
          .caption = fmt::format("Right is sparse: one key takes the row. Heads of all layers in {} bins: {}.", kBins,
                                 counts.empty() ? "none" : fmt::format("{}", fmt::join(counts, ", "))),
          .alternative = "Histogram of the sparsity score over heads, a line an attention.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure dots_figure(std::string id, const std::string& title, std::string caption, const char* axis,
                           std::vector<report::Category> categories) {
  report::CategoryChart chart{
      .x = {axis}, .categories = std::move(categories), .low = 0.0, .high = 1.0, .references = {}};
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption),
          .alternative = title + ", a row each.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure medians_figure(const std::map<std::string, Heads>& ratios, const Heads& raw) {
  std::vector<report::Category> categories;
  for (const char* attention : kAttentions) {
    categories.push_back({attention, ratios.at(attention).medians(), colour_of(attention)});
  }
  categories.push_back({fmt::format("{}, raw maximum", kSigmoid), raw.medians(), colour_of(kSigmoid)});
  return dots_figure("medians", "Median over heads, by seed",
                     "A dot a seed. The raw maximum is not divided by the row's sum; softmax's rows sum to 1.",
                     "median sparsity score", std::move(categories));
}

report::Figure published_figure(const PublishedModels& models) {
  std::vector<report::Category> categories;
  for (const PublishedHeads& model : models.found) {
    categories.push_back({fmt::format("{} · {} heads", model.name, model.sparsity.size()), model.sparsity, ""});
  }
  return dots_figure("published", "Heads of language models with softmax",
                     fmt::format("A dot a head, over texts of up to {} tokens.", kPublishedContext),
                     "sparsity score of a head", std::move(categories));
}

std::string in_words(const PublishedModels& models) {
  std::vector<std::string> words;
  for (const PublishedHeads& model : models.found) {
    words.push_back(fmt::format("{} {} ({} heads, {} tokens of {} texts)", model.name,
                                significant(spread_of(model.sparsity).median, 2), model.sparsity.size(),
                                counted(model.tokens), model.texts));
  }
  std::string text = fmt::format("Median over heads of language models with softmax: {}.", fmt::join(words, ", "));
  if (!models.left_out.empty()) text += fmt::format(" Left out: {}.", fmt::join(models.left_out, "; "));
  return text;
}

report::Section run(const Context& context) {
  const SinkRuns runs(context);
  std::map<std::string, Heads> ratios;
  for (const char* attention : kAttentions) ratios[attention] = heads_of(runs, attention, "sparsity");
  const Heads raw = heads_of(runs, kSigmoid, "maximum");
  const PublishedModels published = published_heads(context.threads);

  report::Section section;
  section.method = fmt::format(
      "The heads of all layers of two-layer transformers that learned induction (accuracy > {} on unseen sequences), "
      "trained with softmax, the sigmoid and a kernel; a head's sparsity score is the mean over queries of max A/ΣA. "
      "Beside them language models that were trained elsewhere, where their files are found. {}",
      kLearned, runs.all.count_in_words());
  std::vector<std::string> words;
  for (const auto& [attention, heads] : ratios) {
    words.push_back(heads.by_seed.empty() ? fmt::format("{} none trained", attention)
                                          : fmt::format("{} {}", attention, medians_in_words(heads)));
  }
  section.findings = fmt::format("Median over heads: {}; the sigmoid's raw maximum {}. {}", fmt::join(words, ", "),
                                 raw.by_seed.empty() ? "none trained" : medians_in_words(raw), in_words(published));
  section.claims = {less_sparse_claim(kSigmoid, "Figure 7", ratios[kSoftmax], ratios[kSigmoid]),
                    less_sparse_claim(kKernel, "Figure 7; ours", ratios[kSoftmax], ratios[kKernel]),
                    raw_claim(ratios[kSoftmax], ratios[kSigmoid], raw)};
  section.figures = {histogram_figure(ratios), medians_figure(ratios, raw), published_figure(published)};
  section.configuration = configuration_of(runs.all);
  section.differences = sentences(
      "The paper's two models are language models of 7B parameters, its texts 1,000 of 256 tokens; here the models "
      "are those that learned induction, and the language models beside them all have a softmax.",
      runs.differences(context));
  section.runs = links_of(runs.every);
  return section;
}

}  // namespace

Experiment a_fig7() {
  return {.id = "A.fig7",
          .title = "Sparsity of heads, softmax against sigmoid",
          .source = "Polarisation paper, figure 7",
          .question = "Are the heads of a sigmoid model less sparse than those of a softmax model?",
          .trainings = "induction",
          .run = run};
}

}  // namespace polariscope::experiments
