// Section 4.1 of the Lipschitz paper: a causal mask does not prevent the collapse.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

namespace polariscope::experiments {
namespace {

// Of uniform rows', the mean over layers.
std::vector<double> relative_entropy(const RegressionRun& run) {
  std::vector<double> values = run.mean_over_layers("entropy");
  for (double& value : values) value /= run.uniform_entropy();
  return values;
}

std::vector<RunsOfVariant> read(const RegressionRuns& runs, bool causal) {
  std::vector<RunsOfVariant> found;
  for (const AttentionVariant& variant : paper_variants()) {
    found.emplace_back(variant, runs.read_with(variant, {{"causal", causal}}));
  }
  return found;
}

std::string fate_in_words(const std::vector<RegressionRun>& runs) {
  return fmt::format("{} of {} collapse, {} diverge; lowest H of uniform rows' {}", count_of(runs, collapses),
                     runs.size(), count_of(runs, diverges),
                     in_words(over_runs(runs, &RegressionRun::lowest_entropy), "runs"));
}

report::Claim collapses_claim(const char* id, const RunsOfVariant& of) {
  return claim_of_every(
      id, fmt::format("Under a causal mask {} loses its entropy too.", of.first.name()), "Section 4.1",
      fmt::format("mean entropy of some layer below {:g} % of what uniform rows under the mask have", 100 * kCollapsed),
      of.second, collapses, fate_in_words(of.second), "entropy");
}

report::Claim keeps_claim(const char* id, const RunsOfVariant& of) {
  return claim_of_every(
      id, fmt::format("Under a causal mask {} keeps its entropy.", of.first.name()), "Section 4.1; ours",
      fmt::format("every layer's mean entropy above {:g} % of what uniform rows under the mask have, at "
                  "every step",
                  100 * kKept),
      of.second, keeps_entropy, fate_in_words(of.second), "entropy");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const std::vector<RunsOfVariant> causal = read(runs, true), open = read(runs, false);
  report::Section section;
  section.method =
      runs.method() +
      " Under the causal mask token i sees the i tokens up to itself; entropy is told as a share of uniform "
      "rows', log N without the mask and the mean of log i under it.";
  std::string fates;
  report::CategoryChart lowest{.x = {"lowest H over uniform rows'"},
                               .categories = {},
                               .low = 0.0,
                               .high = 1.0,
                               .references = {{"collapsed", kCollapsed}}};
  for (std::size_t i = 0; i < causal.size(); ++i) {
    const AttentionVariant& variant = causal[i].first;
    fates += fmt::format("{}{}: {}, without the mask {}", fates.empty() ? "" : ". ", variant.name(),
                         fate_in_words(causal[i].second), fate_in_words(open[i].second));
    for (const auto& [name, of] : {std::pair{" · causal", &causal[i].second}, std::pair{" · open", &open[i].second}}) {
      report::Category category{.name = variant.name() + name, .values = {}, .colour = variant.colour()};
      for (const RegressionRun& one : *of) category.values.push_back(one.lowest_entropy());
      lowest.categories.push_back(std::move(category));
    }
  }
  section.findings = fates + ".";
  section.claims = {collapses_claim("B.sec4.1/softmax", causal[0]), collapses_claim("B.sec4.1/qk-layernorm", causal[1]),
                    keeps_claim("B.sec4.1/relu", causal[2]), keeps_claim("B.sec4.1/elu1", causal[3])};
  const report::Axis y{"H over that of uniform rows"};
  section.figures = {
      multiples_figure(
          {.id = "entropy",
           .title = "Entropy with and without a causal mask",
           .caption = "Means over layers. Thin: each run, up to its last finite step; thick: the median while half of "
                      "the runs go on.",
           .alternative = "Relative entropy against step, one panel with and one without a causal mask, one "
                          "colour an attention.",
           .columns = 2},
          std::vector<Multiple>{panel("causal mask", chart_of_variants(causal, y, relative_entropy, true)),
                                panel("no mask", chart_of_variants(open, y, relative_entropy, true))}),
      {.id = "lowest",
       .title = "How low entropy comes",
       .caption =
           "Causal: under the mask; open: without. One dot a run: its lowest mean entropy of any layer at any step.",
       .alternative = "Lowest relative entropy with and without a causal mask, by attention, one dot a run.",
       .spec = report::category_chart(lowest),
       .table = report::table_of(lowest)}};
  add_links(section, causal);
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_sec4_1() {
  return {.id = "B.sec4.1",
          .title = "In-context regression under a causal mask",
          .source = "Lipschitz paper, section 4.1",
          .question = "Does a causal mask prevent the collapse?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
