// Figure 7 of the polarisation paper on the language models that the Lipschitz paper's figures train: how sparse their
// heads are.
#include "polariscope/base/files.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/language/language_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::experiments {
namespace {

constexpr int kBins = 20;                                  // of [0, 1]
constexpr std::size_t kSoftmax = 0, kRelu = 2, kElu1 = 3;  // of LanguageRuns::attentions

// Of every head at the last finite step, the mean over rows of the largest weight: E.2's score, where rows sum to 1.
std::vector<double> sparsity_of(const LanguageRun& run) {
  const std::string log = read_file(run.trained().folder / "metrics.jsonl");
  std::vector<double> heads;
  for (std::size_t end = log.rfind('\n'); end != std::string::npos && end > 0; end = log.rfind('\n', end - 1)) {
    const std::size_t before = log.rfind('\n', end - 1), begin = before == std::string::npos ? 0 : before + 1;
    const auto line = nlohmann::json::parse(log.substr(begin, end - begin));
    if (line.at("step").get<double>() > run.log().step.back()) continue;
    for (const auto& layer : line.at("maximum")) {
      for (const auto& head : layer) {
        if (head.is_number()) heads.push_back(head.get<double>());
      }
    }
    return heads;
  }
  return heads;
}

double median_of(const LanguageRun& run) { return spread_of(sparsity_of(run)).median; }

// By how much softmax's median is above the other's, in every pair of runs of one learning rate and seed.
std::vector<double> leads(const RunsOfAttention& softmax, const RunsOfAttention& other) {
  std::vector<double> values;
  for (const LanguageRun& run : other.runs) {
    const auto same = std::ranges::find_if(softmax.runs, [&](const LanguageRun& one) {
      return one.learning_rate() == run.learning_rate() &&
             one.trained().settings.at("seed") == run.trained().settings.at("seed");
    });
    if (same != softmax.runs.end()) values.push_back(median_of(*same) - median_of(run));
  }
  return values;
}

report::Claim less_sparse_claim(const LanguageRuns& runs, const char* family, const char* what, std::size_t kernel,
                                const char* short_name) {
  const RunsOfAttention &softmax = runs.attentions.at(kSoftmax), &other = runs.attentions.at(kernel);
  const Spread lead = spread_of(leads(softmax, other));
  return claim_in_words(
      fmt::format("A.fig7text/{}-{}", family, short_name),
      fmt::format("Heads of {} with {} are less sparse than with softmax.", what, other.variant.name), "Figure 7; ours",
      fmt::format("median over heads of the sparsity score below softmax's for every learning rate and seed; "
                  "inconclusive under {} pairs of runs",
                  kFewestModels),
      lead.runs == 0 ? "no pair of runs"
                     : fmt::format("{} against {}", in_words(over_runs(other, median_of), "runs"),
                                   in_words(over_runs(softmax, median_of), "runs")),
      lead, judged(lead.runs, kFewestModels, lead.low > 0.0), "sparsity");
}

report::SeriesChart histogram(const LanguageRuns& runs) {
  report::SeriesChart chart{
      .x = {"sparsity score of a head"}, .y = {"part of the heads"}, .series = {}, .references = {}};
  for (const RunsOfAttention& of : runs.attentions) {
    std::vector<double> heads;
    for (const LanguageRun& run : of.runs) {
      const std::vector<double> some = sparsity_of(run);
      heads.insert(heads.end(), some.begin(), some.end());
    }
    if (heads.empty()) continue;
    report::Series series{.name = of.variant.name,
                          .x = {},
                          .y = std::vector<double>(kBins, 0.0),
                          .low = {},
                          .high = {},
                          .colour = of.variant.colour};
    for (int bin = 0; bin < kBins; ++bin) series.x.push_back((bin + 0.5) / kBins);
    for (const double value : heads) {
      const int bin = std::clamp(static_cast<int>(value * kBins), 0, kBins - 1);
      series.y[static_cast<std::size_t>(bin)] += 1.0 / static_cast<double>(heads.size());
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

std::string medians_in_words(const LanguageRuns& runs) {
  std::vector<std::pair<std::string, Spread>> medians;
  for (const RunsOfAttention& of : runs.attentions) medians.emplace_back(of.variant.name, over_runs(of, median_of));
  return of_each_variant(medians);
}

report::Section run(const Context& context) {
  const LanguageRuns llama(context, "llama"), gpt2(context, "gpt2");
  report::Section section;
  section.method =
      "Of every head of the models of B.fig1top and B.fig7, at the last step and over its batch: the mean over queries "
      "of the largest weight, which is the sparsity score where rows sum to 1, as those of all attentions here do but "
      "for a sink's. " +
      llama.method();
  section.findings =
      fmt::format("Median over heads. Llama: {}. GPT-2: {}.", medians_in_words(llama), medians_in_words(gpt2));
  section.claims = {less_sparse_claim(llama, "llama", "a Llama", kRelu, "relu"),
                    less_sparse_claim(llama, "llama", "a Llama", kElu1, "elu1"),
                    less_sparse_claim(gpt2, "gpt2", "a GPT-2", kRelu, "relu"),
                    less_sparse_claim(gpt2, "gpt2", "a GPT-2", kElu1, "elu1")};
  section.figures = {multiples_figure(
      {.id = "sparsity",
       .title = "Sparsity of the heads of language models",
       .caption =
           fmt::format("Right is sparse: one key takes the row. Heads of all layers and runs, in {} bins.", kBins),
       .alternative = "Histogram of the sparsity score over heads, one panel a model, a line an attention.",
       .columns = 2},
      std::array{panel("Llama", histogram(llama)), panel("GPT-2", histogram(gpt2))})};
  section.runs = llama.links();
  for (auto& link : gpt2.links()) section.runs.push_back(std::move(link));
  section.configuration = configuration_of(llama.all);
  section.differences =
      "The paper compares softmax with a sigmoid, in models of 7B parameters; here kernels take the sigmoid's place. " +
      llama.differences();
  return section;
}

}  // namespace

Experiment a_fig7_text() {
  return {.id = "A.fig7text",
          .title = "Sparsity of heads that learn text, softmax against kernels",
          .source = "Polarisation paper, figure 7, on the Lipschitz paper's language models",
          .question = "Are the heads of language models with kernels less sparse than those with softmax?",
          .trainings = "language",
          .run = run};
}

}  // namespace polariscope::experiments
