// Figure 11 of the Lipschitz paper: token × token maps of the first layer's attention over training.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/sequence_records.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

namespace polariscope::experiments {
namespace {

constexpr double kOneHot = 0.9;     // the largest p of a row above it: one-hot
constexpr double kFaintest = 1e-3;  // drawn

std::span<const double> row_of(const std::vector<double>& map, int tokens, int row) {
  return std::span(map).subspan(static_cast<std::size_t>(row * tokens), static_cast<std::size_t>(tokens));
}

// Of its rows.
double one_hot_share(const std::vector<double>& map, int tokens) {
  int count = 0;
  for (int row = 0; row < tokens; ++row) count += std::ranges::max(row_of(map, tokens, row)) > kOneHot ? 1 : 0;
  return static_cast<double>(count) / tokens;
}

double keys_looked_at(const std::vector<double>& map, int tokens) {
  std::set<std::ptrdiff_t> keys;
  for (int row = 0; row < tokens; ++row) {
    const auto p = row_of(map, tokens, row);
    keys.insert(std::ranges::max_element(p) - p.begin());
  }
  return static_cast<double>(keys.size());
}

// At the last map that a run left; NaN without one.
double last_share(const RegressionRun& run) {
  const MapRecords records = first_layer_maps(run);
  return records.maps.empty() ? std::nan("") : one_hot_share(records.maps.back(), run.tokens());
}
double last_keys(const RegressionRun& run) {
  const MapRecords records = first_layer_maps(run);
  return records.maps.empty() ? std::nan("") : keys_looked_at(records.maps.back(), run.tokens());
}
// At any of them.
double largest_share(const RegressionRun& run) {
  double largest = std::nan("");
  for (const std::vector<double>& map : first_layer_maps(run).maps) {
    largest = std::fmax(largest, one_hot_share(map, run.tokens()));
  }
  return largest;
}

void add_panels(std::vector<Multiple>& panels, const RunsOfVariant& of) {
  if (of.second.empty()) return;
  const RegressionRun& run = of.second.front();
  const MapRecords records = first_layer_maps(run);
  for (std::size_t i = 0; i < records.maps.size(); ++i) {
    report::HeatMap map{.x = {"key"},
                        .y = {"query"},
                        .value_title = "log₁₀ p",
                        .columns = {},
                        .rows = {},
                        .values = {},
                        .low = std::log10(kFaintest),
                        .high = 0.0,
                        .outlined = {},
                        .square = true,
                        .side = 160};
    for (int row = run.tokens() - 1; row >= 0; --row) {  // row 0 of a heat map is its lowest
      std::vector<double>& values = map.values.emplace_back();
      for (const double p : row_of(records.maps[i], run.tokens(), row))
        values.push_back(std::log10(std::max(p, kFaintest)));
      map.rows.push_back(row + 1.0);
      map.columns.push_back(static_cast<double>(map.columns.size() + 1));
    }
    panels.push_back({.title = fmt::format("{}, step {:g}", of.first.name(), records.step[i]),
                      .spec = report::heat_map(map),
                      .table = report::table_of(map)});
  }
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> all = paper_runs(runs);
  const std::vector<RunsOfVariant> both{all[0], all[2]};
  report::Section section;
  section.method =
      runs.method() +
      " The maps are of one unseen sequence, the same at every step of a run: six steps spread over the run, or "
      "three before its first layer's collapse, that step, and two after it.";
  const Spread softmax = over_runs(both[0].second, last_share), relu = over_runs(both[1].second, largest_share);
  section.findings = fmt::format(
      "Share of the first layer's rows whose largest probability is above {:g}: softmax {} at the end, the ReLU kernel "
      "at most "
      "{}. Keys that softmax's {} rows look at most in the end: {}.",
      kOneHot, in_words(softmax, "runs"), in_words(relu, "runs"), runs.tokens,
      in_words(over_runs(both[0].second, last_keys), "runs"));
  section.claims = {
      claim_in_words("B.fig11/softmax", "The first layer's map becomes one-hot with softmax.", "Figure 11",
                     fmt::format("at the last map of every run at least 9 of 10 rows have a probability above {:g}; "
                                 "inconclusive under {} runs",
                                 kOneHot, kFewestSeeds),
                     in_words(softmax, "runs"), softmax, judged(softmax.runs, kFewestSeeds, softmax.low >= 0.9),
                     "maps"),
      claim_in_words("B.fig11/relu", "The first layer's map stays spread with the ReLU kernel.", "Figure 11",
                     fmt::format("at every map of every run fewer than 1 of 10 rows have a probability above {:g}; "
                                 "inconclusive under {} runs",
                                 kOneHot, kFewestSeeds),
                     in_words(relu, "runs"), relu, judged(relu.runs, kFewestSeeds, relu.high < 0.1), "maps")};
  std::vector<Multiple> panels;
  for (const RunsOfVariant& of : both) add_panels(panels, of);
  if (!panels.empty()) {
    section.figures = {multiples_figure(
        {.id = "maps",
         .title = "The first layer's attention, token by token",
         .caption = fmt::format(
             "Softmax above, the ReLU kernel below; the first seed. Probabilities under {:g} have the colour "
             "of {:g}; 1/N is {:.2f} on this scale.",
             kFaintest, kFaintest, -std::log10(runs.tokens)),
         .alternative =
             "Attention maps of the first layer at six steps of training, softmax above, the ReLU kernel below.",
         .columns = 3,
         .share_x = false},
        panels)};
  }
  add_links(section, both);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_fig11() {
  return {.id = "B.fig11",
          .title = "Attention maps of the first layer over training",
          .source = "Lipschitz paper, figure 11",
          .question = "What does the first layer look at before, at and after the collapse?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
