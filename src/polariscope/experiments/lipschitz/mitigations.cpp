// What is said to keep softmax's entropy, on one scale: who collapses, who diverges, at what loss.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace polariscope::experiments {
namespace {

// What became of a variant's runs; their logs are let go.
struct Fate {
  AttentionVariant variant;
  long long runs = 0, collapsed = 0, diverged = 0;
  long long diverged_without_collapse = 0;
  std::vector<double> lowest_entropy, final_loss, lowest_loss, last_step;

  bool keeps() const { return runs >= kFewestSeeds && collapsed == 0 && diverged == 0; }
  std::string row() const { return fmt::format("{} · {}, {} of {}", variant.name(), collapsed, diverged, runs); }
};

Fate fate_of(const RegressionRuns& runs, const AttentionVariant& variant) {
  Fate fate{.variant = variant, .lowest_entropy = {}, .final_loss = {}, .lowest_loss = {}, .last_step = {}};
  for (const RegressionRun& run : runs.read(variant)) {
    ++fate.runs;
    fate.collapsed += collapses(run) ? 1 : 0;
    fate.diverged += run.diverged() ? 1 : 0;
    fate.diverged_without_collapse += run.diverged() && !collapses(run) ? 1 : 0;
    fate.lowest_entropy.push_back(run.lowest_entropy());
    fate.final_loss.push_back(run.final_loss());
    fate.lowest_loss.push_back(run.lowest_loss());
    fate.last_step.push_back(run.last_step());
  }
  return fate;
}

bool is_plain_softmax(const AttentionVariant& variant) { return variant == paper_variants()[0]; }

report::Claim prevents_claim(const Fate& fate) {
  const Spread lowest = spread_of(fate.lowest_entropy), loss = spread_of(fate.final_loss);
  return claim_in_words(
      fmt::format("B.mitigations/{}", fate.variant.name()),
      fmt::format("{} prevents collapse and divergence.", fate.variant.name()),
      fate.variant.attention == "relu_kernel/sum" || fate.variant.attention == "elu1_kernel/sum" ? "Section 5.2"
                                                                                                 : "Ours",
      fmt::format("in no run does a layer's mean entropy fall below {:g} % of log N, and none diverges; inconclusive "
                  "under {} runs",
                  100 * kCollapsed, kFewestSeeds),
      fmt::format("{} of {} runs collapse, {} diverge; lowest H/log N {}; final loss {}", fate.collapsed, fate.runs,
                  fate.diverged, in_words(lowest, "runs"), in_words(loss, "runs")),
      lowest, judged(fate.runs, kFewestSeeds, fate.keeps()), "entropy");
}

report::Figure rows_figure(const std::vector<Fate>& fates, std::string id, const std::string& title,
                           std::string caption, report::Axis x, const std::vector<double> Fate::*values,
                           std::optional<double> low, std::optional<double> high,
                           std::vector<report::ReferenceLine> references) {
  report::CategoryChart chart{
      .x = std::move(x), .categories = {}, .low = low, .high = high, .references = std::move(references)};
  for (const Fate& fate : fates) {
    chart.categories.push_back({.name = fate.row(), .values = fate.*values, .colour = fate.variant.colour()});
  }
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption) + " Beside each name: how many of its runs collapse, and diverge.",
          .alternative = title + ", one row an attention, one dot a run.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

// Final loss against the entropy that was kept: bottom right is where one wants to be.
report::Figure plane(const std::vector<Fate>& fates) {
  report::SeriesChart chart{.x = {"lowest H/log N of a layer"},
                            .y = {"final loss", report::Scale::kLog},
                            .series = {},
                            .references = {},
                            .points = true};
  long long shown = 0, all = 0;
  for (const Fate& fate : fates) {
    all += fate.runs;
    if (fate.diverged == fate.runs) continue;
    shown += fate.runs - fate.diverged;
    chart.series.push_back({.name = fate.variant.name(),
                            .x = fate.lowest_entropy,
                            .y = fate.final_loss,
                            .low = {},
                            .high = {},
                            .colour = fate.variant.colour()});
  }
  return chart_figure("plane", "Loss against the entropy that is kept",
                      fmt::format("One mark a run that did not diverge, {} of {}. Low and to the right: entropy kept "
                                  "and the task learned.",
                                  shown, all),
                      "Final loss against the lowest relative entropy of a run, by attention.", chart);
}

std::string names_of(const std::vector<Fate>& fates, const std::function<bool(const Fate&)>& which) {
  std::vector<std::string> names;
  for (const Fate& fate : fates) {
    if (which(fate))
      names.push_back(fmt::format("{} ({})", fate.variant.name(), in_words(spread_of(fate.final_loss), "runs")));
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

std::vector<report::Claim> claims_of(const std::vector<Fate>& fates) {
  std::vector<report::Claim> claims;
  long long diverged = 0, without = 0;
  Spread best{std::nan(""), 0, 0, 0}, softmax{std::nan(""), 0, 0, 0};
  std::string best_name = "nothing";
  for (const Fate& fate : fates) {
    diverged += fate.diverged;
    without += fate.diverged_without_collapse;
    if (is_plain_softmax(fate.variant)) {
      softmax = spread_of(fate.lowest_loss);
      continue;
    }
    claims.push_back(prevents_claim(fate));
    const Spread loss = spread_of(fate.final_loss);
    if (!fate.keeps() || (best.runs > 0 && loss.median >= best.median)) continue;
    best = loss;
    best_name = fate.variant.name();
  }
  claims.push_back(
      claim_of_count("B.mitigations/order", "No attention diverges without losing its entropy first.", "Section 5.2",
                     fmt::format("every run that diverges had a layer below {:g} % of log N", 100 * kCollapsed),
                     diverged - without, diverged, "diverged runs", without == 0, "entropy"));
  claims.push_back(claim_in_words(
      "B.mitigations/loss", "Entropy can be kept without a higher loss than softmax comes to.", "Ours",
      fmt::format("the smallest median final loss of an attention none of whose runs collapse or diverge < the median "
                  "of softmax's lowest loss (median of 20 steps); inconclusive under {} runs",
                  kFewestSeeds),
      fmt::format("{}: {} against {}", best_name, in_words(best, "runs"), in_words(softmax, "runs")), best,
      judged(std::min(best.runs, softmax.runs), kFewestSeeds, best.median < softmax.median), "loss"));
  return claims;
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<Fate> fates;
  for (const AttentionVariant& variant : runs.variants()) fates.push_back(fate_of(runs, variant));
  std::ranges::stable_sort(fates, {}, [](const Fate& fate) { return -spread_of(fate.lowest_entropy).median; });
  report::Section section;
  section.method = runs.method() +
                   " Every attention that keeps softmax's shape but changes one thing is trained alike, "
                   "beside softmax itself and the two kernels.";
  section.findings = fmt::format(
      "Neither collapse nor divergence in any run, with final loss: {}. Some collapse, none diverges: {}. Some "
      "diverge: "
      "{}.",
      names_of(fates, [](const Fate& fate) { return fate.collapsed == 0 && fate.diverged == 0; }),
      names_of(fates, [](const Fate& fate) { return fate.collapsed > 0 && fate.diverged == 0; }),
      names_of(fates, [](const Fate& fate) { return fate.diverged > 0; }));
  section.claims = claims_of(fates);
  section.figures = {
      rows_figure(fates, "entropy", "How low entropy comes",
                  "One dot a run: its lowest mean entropy of any layer at any step. Rows from the highest median.",
                  {"lowest H/log N of a layer"}, &Fate::lowest_entropy, 0.0, 1.0, {{"collapsed", kCollapsed}}),
      rows_figure(fates, "loss", "At what loss",
                  "Median of the last twentieth of the steps, of runs that did not diverge; rows as above.",
                  {"final loss", report::Scale::kLog}, &Fate::final_loss, {}, {}, {}),
      rows_figure(fates, "lowest-loss", "How low the loss came on the way",
                  "Smallest median of twenty steps in a row, also of runs that diverged later; rows as above.",
                  {"lowest loss", report::Scale::kLog}, &Fate::lowest_loss, {}, {}, {}),
      rows_figure(fates, "steps", "How long training lasts", "Last finite step of each run; rows as above.",
                  {"last finite step"}, &Fate::last_step, 0.0, {}, {}),
      plane(fates)};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  section.runs = links_of(runs.all.where({{"layer_form", "residual"}, {"batch", runs.batch}}));
  return section;
}

}  // namespace

Experiment b_mitigations() {
  return {.id = "B.mitigations",
          .title = "What prevents entropy collapse, and at what loss",
          .source = "Ours; Lipschitz paper, section 5.2",
          .question = "Which changes to softmax keep its entropy, and does the model still learn?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
