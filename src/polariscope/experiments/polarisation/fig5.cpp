// Figure 5 of the polarisation paper: what CLS looks at while a classifier of token groups learns.
#include "polariscope/base/files.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flip_runs.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/spread_series.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

namespace polariscope::experiments {
namespace {

// CLS's row of layer 1, head 1 in a model with one of each.
struct History {
  std::vector<double> steps;
  std::vector<std::vector<std::vector<double>>> weights;  // [sequences][tokens with CLS][steps]
};

History history_of(const TrainedRun& run) {
  History history;
  std::istringstream lines(read_file(run.folder / "cls_attention.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto step = nlohmann::json::parse(line);
    history.steps.push_back(step.at("step").get<double>() + 1.0);  // from 1: the axis is logarithmic
    const auto rows = step.at("layer1_head1").get<std::vector<std::vector<double>>>();
    history.weights.resize(rows.size());
    for (std::size_t s = 0; s < rows.size(); ++s) {
      history.weights[s].resize(rows[s].size());
      for (std::size_t t = 0; t < rows[s].size(); ++t) history.weights[s][t].push_back(rows[s][t]);
    }
  }
  return history;
}

// The largest share max|w|/Σ|w| of a content token, at each step.
std::vector<double> largest_shares(const History& history, std::size_t sequence) {
  const auto& tokens = history.weights[sequence];
  std::vector<double> shares;
  for (std::size_t n = 0; n < history.steps.size(); ++n) {
    double largest = 0.0, sum = 0.0;
    for (std::size_t t = 0; t + 1 < tokens.size(); ++t) {
      largest = std::max(largest, std::abs(tokens[t][n]));
      sum += std::abs(tokens[t][n]);
    }
    shares.push_back(sum > 0.0 ? largest / sum : 0.0);
  }
  return shares;
}

Multiple sequence_panel(const History& history, std::size_t sequence) {
  const auto& tokens = history.weights[sequence];
  const auto last = [&](std::size_t t) { return tokens[t].back(); };
  report::CoordinateChart chart{.x = {"step + 1", report::Scale::kLog},
                                .y = {"attention of CLS"},
                                .time = history.steps,
                                .coordinates = tokens,
                                .initial = {},
                                .winner = 0,
                                .references = {{"uniform", 1.0 / static_cast<double>(tokens.size())}}};
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    chart.initial.push_back(tokens[t].front());
    if (last(t) > last(static_cast<std::size_t>(chart.winner))) chart.winner = static_cast<int>(t);
  }
  return {.title = fmt::format("sequence {}", sequence + 1),
          .spec = report::coordinate_chart(chart),
          .table = report::table_of(chart)};
}

struct Ends {
  std::vector<double> first, last;  // largest share before and after training, of every run and sequence
};

report::Section run(const Context& context) {
  const FlipRuns runs(context);
  report::Section section;
  section.method = fmt::format(
      "CLS's attention in models of one head and one layer, vocabulary {}, no MLP and no LayerNorm, on the "
      "same unseen sequences at steps spread over the training. {}",
      kHeadlineVocabulary, runs.all.count_in_words());

  report::SeriesChart over_steps{.x = {"step + 1", report::Scale::kLog},
                                 .y = {"largest share of a token, max|w|/Σ|w|"},
                                 .series = {},
                                 .references = {{"uniform 1/10", 0.1}}};
  std::vector<std::pair<std::string, Ends>> ends;
  for (const std::string& attention : runs.all.attentions()) {
    std::vector<std::vector<double>> shares;
    std::vector<double> steps;
    for (const TrainedRun& trained : runs.smallest(attention)) {
      const History history = history_of(trained);
      if (!steps.empty() && history.steps != steps) continue;  // trained for another number of steps
      steps = history.steps;
      for (std::size_t s = 0; s < history.weights.size(); ++s) shares.push_back(largest_shares(history, s));
    }
    if (shares.empty()) continue;
    report::Series line = spread_series(attention, steps, shares);
    line.colour = colour_of(attention);
    line.dashed = is_dashed(attention);
    if (attention != "softmax") line.low = line.high = {};
    over_steps.series.push_back(std::move(line));
    Ends of;
    for (const std::vector<double>& one : shares) {
      of.first.push_back(one.front());
      of.last.push_back(one.back());
    }
    ends.emplace_back(attention, std::move(of));
  }

  const auto found = std::ranges::find(ends, "softmax", &std::pair<std::string, Ends>::first);
  const Ends softmax = found == ends.end() ? Ends{} : found->second;
  const Spread before = spread_of(softmax.first), after = spread_of(softmax.last);
  double others = 0.0;
  std::string other;
  std::vector<std::string> words;
  for (const auto& [attention, of] : ends) {
    const Spread last = spread_of(of.last);
    words.push_back(fmt::format("{} {}", attention, significant(last.median, 2)));
    if (attention == "softmax" || last.median <= others) continue;
    others = last.median;
    other = attention;
  }
  section.findings =
      fmt::format("Largest share of a token at the end, median over models and sequences: {}.", fmt::join(words, ", "));
  std::size_t risen = 0;
  for (std::size_t i = 0; i < softmax.last.size(); ++i) risen += softmax.last[i] > softmax.first[i] ? 1 : 0;
  section.claims = {
      claim_on_models("A.fig5/rises", "As softmax learns, CLS comes to look at few tokens.", "Figure 5",
                      "largest share of a token after training > before, in every model and sequence",
                      fmt::format("{} → {}", in_words(before, "sequences"), in_words(after, "sequences")), after,
                      after.runs, risen == softmax.last.size(), "share"),
      claim_on_models("A.fig5/softmax-most", "CLS looks at fewer tokens with softmax than with any other attention.",
                      "Figure 5; ours",
                      "median largest share of softmax after training > that of every other attention",
                      fmt::format("{} against at most {}", significant(after.median, 3),
                                  other.empty() ? "nothing" : fmt::format("{} ({})", significant(others, 3), other)),
                      after, other.empty() ? 0 : after.runs, after.median > others, "share")};

  for (const char* attention : {"softmax", "sigmoid"}) {
    const std::vector<TrainedRun> trained = runs.smallest(attention);
    if (trained.empty()) continue;
    const History history = history_of(trained.front());
    std::vector<Multiple> panels;
    for (std::size_t s = 0; s < history.weights.size(); ++s) panels.push_back(sequence_panel(history, s));
    section.figures.push_back(multiples_figure(
        {.id = attention,
         .title = fmt::format("Attention of CLS to each token, {}", attention),
         .caption = "One line a token of the sequence, CLS the last; the one that ends highest is thick.",
         .alternative = fmt::format("Attention of CLS against step on four sequences, {}.", attention),
         .columns = 2},
        panels));
    section.runs.emplace_back(fmt::format("{}, drawn", attention), trained.front().link);
  }
  section.figures.push_back({.id = "share",
                             .title = "The token that CLS looks at most, by attention",
                             .caption = "Median over models and sequences; softmax with its range.",
                             .alternative = "Largest share of one token against step, one line an attention.",
                             .spec = report::series_chart(over_steps),
                             .table = report::table_of(over_steps)});
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment a_fig5() {
  return {.id = "A.fig5",
          .title = "What CLS looks at while it learns",
          .source = "Polarisation paper, figure 5",
          .question = "Does training draw a classifier's attention onto one token?",
          .trainings = "token-groups",
          .run = run};
}

}  // namespace polariscope::experiments
