// Ours: what the Lipschitz paper's text leaves open, three layers, trained alike.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace polariscope::experiments {
namespace {

struct Form {
  const char* name;
  const char* words;
};
constexpr std::array<Form, 3> kForms{
    Form{"residual", "X + PV/N"}, {"covariate", "X + PV/N, scores of x alone"}, {"plain", "PV"}};

struct Cell {
  const Form* form;
  AttentionVariant variant;
  std::vector<RegressionRun> runs;
};

std::string lowest_in_words(const Cell& cell) {
  return fmt::format("lowest H/log N of a layer {}",
                     in_words(over_runs(cell.runs, &RegressionRun::lowest_entropy), "runs"));
}

std::string id_of(const Cell& cell, const char* what) {
  const std::string attention = cell.variant.qk_norm == "no" ? cell.variant.attention : "qk-layernorm";
  return fmt::format("B.forms/{}/{}-{}", cell.form->name, attention, what);
}

std::vector<report::Claim> claims_of(const Cell& cell) {
  const std::string where = fmt::format("Layers {}: {}", cell.form->words, cell.variant.name());
  if (cell.variant.attention != "softmax") {
    return {claim_of_every(
        id_of(cell, "keeps"), fmt::format("{} keeps its entropy and stays finite.", where), "Section 5.2",
        fmt::format(
            "every layer's mean entropy above {:g} % of log N at every step, and no loss or gradient that is not "
            "finite",
            100 * kKept),
        cell.runs, [](const RegressionRun& run) { return keeps_entropy(run) && !run.diverged(); },
        fmt::format("{}, {} diverge", lowest_in_words(cell), count_of(cell.runs, diverges)), "entropy")};
  }
  return {
      claim_of_every(id_of(cell, "collapses"), fmt::format("{} loses its entropy.", where), "Section 5.2",
                     fmt::format("mean entropy of some layer below {:g} % of log N", 100 * kCollapsed), cell.runs,
                     collapses, lowest_in_words(cell), "entropy"),
      claim_of_every(
          id_of(cell, "diverges"), fmt::format("{} diverges.", where), "Section 5.2",
          "loss or gradient stops being finite", cell.runs, diverges,
          fmt::format("last finite step {}",
                      in_words(over_runs(cell.runs, [](const RegressionRun& run) { return run.last_step(); }), "runs")),
          "losses")};
}

Multiple lines_panel(const Form& form, const std::vector<Cell>& cells, report::Axis y,
                     std::vector<report::ReferenceLine> references, const Reading& reading) {
  report::SeriesChart chart{
      .x = {"step", report::Scale::kLog}, .y = std::move(y), .series = {}, .references = std::move(references)};
  for (const Cell& cell : cells) {
    if (cell.form == &form) add_lines(chart, cell.variant.name(), cell.variant.colour(), cell.runs, reading, true);
  }
  return {.title = form.words, .spec = report::series_chart(chart), .table = report::table_of(chart)};
}

Multiple lowest_panel(const Form& form, const std::vector<Cell>& cells) {
  report::CategoryChart chart{.x = {"lowest H/log N of a layer"},
                              .categories = {},
                              .low = 0.0,
                              .high = 1.0,
                              .references = {{"collapsed", kCollapsed}}};
  for (const Cell& cell : cells) {
    if (cell.form != &form) continue;
    report::Category row{.name = cell.variant.name(), .values = {}, .colour = cell.variant.colour()};
    for (const RegressionRun& run : cell.runs) row.values.push_back(run.lowest_entropy());
    chart.categories.push_back(std::move(row));
  }
  return {.title = form.words, .spec = report::category_chart(chart), .table = report::table_of(chart)};
}

// How many of the runs collapse and diverge, as a row of words a layer form.
std::string tally(const Form& form, const std::vector<Cell>& cells) {
  std::vector<std::string> words;
  for (const Cell& cell : cells) {
    if (cell.form != &form) continue;
    words.push_back(fmt::format("{} {} and {} of {}", cell.variant.name(), count_of(cell.runs, collapses),
                                count_of(cell.runs, diverges), cell.runs.size()));
  }
  return fmt::format("{}: {}", form.words, fmt::join(words, ", "));
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<Cell> cells;
  for (const Form& form : kForms) {
    for (const AttentionVariant& variant : paper_variants()) {
      cells.push_back({&form, variant, runs.read(variant, form.name, runs.batch)});
    }
  }
  report::Section section;
  section.method = runs.method() +
                   " Three layers are compared: X + PV/N with 4 × 4 maps; the same with scores of x "
                   "alone (W_Q, W_K 3 × 3) and y passed on unmixed; PV without the residual.";
  std::vector<Multiple> entropies, losses;
  std::vector<std::string> tallies;
  for (const Form& form : kForms) {
    tallies.push_back(tally(form, cells));
    entropies.push_back(lines_panel(form, cells, {"mean entropy over layers H (nats)"},
                                    {{fmt::format("log N = {:.2f}", runs.uniform_entropy()), runs.uniform_entropy()}},
                                    [](const RegressionRun& run) { return run.mean_over_layers("entropy"); }));
    losses.push_back(lines_panel(form, cells, {"training loss", report::Scale::kLog}, {},
                                 [](const RegressionRun& run) { return run.log().number("loss"); }));
  }
  for (const Cell& cell : cells) {
    for (report::Claim& claim : claims_of(cell)) section.claims.push_back(std::move(claim));
  }
  std::vector<Multiple> lowest;
  for (const Form& form : kForms) lowest.push_back(lowest_panel(form, cells));
  const std::string counts = fmt::format("Runs that collapse and that diverge. {}.", fmt::join(tallies, ". "));
  section.findings = counts;
  const std::string lines = " Thin: each run; thick: the median while half of the runs go on.";
  section.figures = {
      multiples_figure({.id = "entropy",
                        .title = "Entropy in three layers",
                        .caption = counts + lines,
                        .alternative = "Mean entropy against step, one panel a layer form, one colour an attention.",
                        .columns = 2},
                       entropies),
      multiples_figure({.id = "lowest",
                        .title = "How low entropy comes",
                        .caption = "One dot a run: its lowest mean entropy of any layer at any step.",
                        .alternative = "Lowest relative entropy, one panel a layer form, one row an attention.",
                        .columns = 2,
                        .share_x = false},
                       lowest),
      multiples_figure({.id = "losses",
                        .title = "Loss in three layers",
                        .caption = "A line that ends early is a run that diverged." + lines,
                        .alternative = "Training loss against step, one panel a layer form, one colour an attention.",
                        .columns = 2},
                       losses)};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_forms() {
  return {.id = "B.forms",
          .title = "The layer that the paper leaves open decides",
          .source = "Ours; Lipschitz paper, section 5",
          .question = "Who collapses and who diverges in each of three layers that fit the paper's text?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
