// Ours: how entropy, logits and gradients of softmax move together, by the size of the batch.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace polariscope::experiments {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
constexpr double kMostGradient = 1e4;  // drawn
constexpr double kGrowth = 10.0;       // of the first step's logit variance: above it the logits have spread

struct OfBatch {
  int batch;
  std::vector<RegressionRun> runs;
};

// Numbers of the layer that collapses first; of a run without a collapse, of the one whose entropy falls furthest.
std::size_t leading_layer(const RegressionRun& run) {
  if (const auto collapse = run.first_collapse()) return static_cast<std::size_t>(collapse->layer);
  const auto& entropy = run.log().layers.at("entropy");
  const auto lowest =
      std::ranges::min_element(entropy, {}, [](const std::vector<double>& layer) { return spread_of(layer).low; });
  return static_cast<std::size_t>(lowest - entropy.begin());
}

Reading of_leading(const char* statistic) {
  return [statistic](const RegressionRun& run) { return run.log().layer(statistic, leading_layer(run)); };
}

double collapse_step(const RegressionRun& run) {
  const auto collapse = run.first_collapse();
  return collapse ? collapse->step : kNothing;
}
double last_step_if_diverged(const RegressionRun& run) { return run.diverged() ? run.last_step() : kNothing; }
double lead(const RegressionRun& run) { return last_step_if_diverged(run) - collapse_step(run); }

// Of the leading layer: logit variance at its collapse over that of the first step.
double variance_growth(const RegressionRun& run) {
  const auto collapse = run.first_collapse();
  if (!collapse) return kNothing;
  const std::vector<double>& variance = run.log().layer("logit_variance", static_cast<std::size_t>(collapse->layer));
  const auto at = std::ranges::find(run.log().step, collapse->step) - run.log().step.begin();
  return variance[static_cast<std::size_t>(at)] / variance.front();
}

// The largest gradient norm from the first collapse on, over the largest before.
double gradient_growth(const RegressionRun& run) {
  const auto collapse = run.first_collapse();
  if (!collapse) return kNothing;
  const std::vector<double>& norm = run.log().number("gradient_norm");
  const auto at = std::ranges::find(run.log().step, collapse->step) - run.log().step.begin();
  if (at == 0) return kNothing;
  return *std::max_element(norm.begin() + at, norm.end()) / *std::max_element(norm.begin(), norm.begin() + at);
}

std::string name_of(const OfBatch& of, long long shown) {
  return fmt::format("batch {} · {} of {}", of.batch, shown, of.runs.size());
}

report::Category category(const OfBatch& of, std::size_t index, double (*figure)(const RegressionRun&)) {
  std::vector<double> values;
  for (const RegressionRun& run : of.runs) values.push_back(figure(run));
  return {.name = name_of(of, spread_of(values).runs), .values = values, .colour = report::palette_colour(index)};
}

report::Figure category_figure(const std::vector<OfBatch>& batches, std::string id, const std::string& title,
                               std::string caption, report::Axis x, double (*figure)(const RegressionRun&),
                               std::optional<double> low = {}, std::optional<double> high = {}) {
  report::CategoryChart chart{.x = std::move(x), .categories = {}, .low = low, .high = high, .references = {}};
  for (std::size_t i = 0; i < batches.size(); ++i) chart.categories.push_back(category(batches[i], i, figure));
  return {.id = std::move(id),
          .title = title,
          .caption = std::move(caption) + " Beside each batch: how many of its runs have the number.",
          .alternative = title + ", one dot a run, by batch size.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

Multiple together_panel(const std::vector<OfBatch>& batches, std::string title, report::Axis y,
                        const Reading& reading) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  for (std::size_t i = 0; i < batches.size(); ++i) {
    add_lines(chart, fmt::format("batch {}", batches[i].batch), report::palette_colour(i), batches[i].runs, reading,
              true);
  }
  return {.title = std::move(title), .spec = report::series_chart(chart), .table = report::table_of(chart)};
}

// "layer 3 in 4 runs, layer 2 in 1".
std::string first_layers(const std::vector<RegressionRun>& runs) {
  std::map<int, int> count;
  for (const RegressionRun& run : runs) {
    if (const auto collapse = run.first_collapse()) ++count[collapse->layer + 1];
  }
  std::vector<std::string> words;
  for (const auto& [layer, number] : count) words.push_back(fmt::format("layer {} in {}", layer, number));
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

// The median over all runs of a batch is known when more than half of them diverge: the others last longer.
report::Claim batch_claim(const std::vector<OfBatch>& batches) {
  std::vector<std::string> words;
  std::vector<double> medians;
  bool rises = true;
  for (const OfBatch& of : batches) {
    const long long diverged = count_of(of.runs, diverges);
    const Spread step = over_runs(of.runs, &RegressionRun::last_step);
    words.push_back(fmt::format("batch {}: {}, {} of them diverged", of.batch, in_words(step, "runs"), diverged));
    if (step.runs < kFewestSeeds || 2 * diverged <= step.runs) continue;
    rises &= medians.empty() || step.median > medians.back();
    medians.push_back(step.median);
  }
  return claim_in_words(
      "B.batch/batch", "The larger the batch, the later softmax diverges.", "Ours",
      fmt::format("median last finite step rises from each batch to the next larger one, over batches "
                  "with {} runs at least of which more than half diverge; inconclusive under two",
                  kFewestSeeds),
      fmt::format("{}", fmt::join(words, "; ")), spread_of(medians),
      judged(static_cast<long long>(medians.size()), 2, rises), "divergence");
}

report::Claim growth_claim(const char* id, const char* statement, const std::string& criterion, const Spread& growth,
                           double least, std::size_t runs, const char* evidence) {
  return claim_in_words(
      id, statement, "Section 5.2; ours",
      fmt::format("{}, in every softmax run with a collapse; inconclusive under {}", criterion, kFewestSeeds),
      fmt::format("{}; {} of {} runs have a collapse", in_words(growth, "runs", 3, "times"), growth.runs, runs), growth,
      judged(growth.runs, kFewestSeeds, growth.low > least), evidence);
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<OfBatch> batches;
  std::vector<RegressionRun> every;
  for (const int batch : runs.batches()) {
    batches.push_back({batch, runs.read(paper_variants()[0], "residual", batch)});
    every.insert(every.end(), batches.back().runs.begin(), batches.back().runs.end());
  }
  report::Section section;
  section.method = runs.method() + " Looked at are softmax's runs of all batches.";
  std::vector<std::string> words;
  for (const OfBatch& of : batches) {
    words.push_back(fmt::format("batch {}: {} of {} collapse, first at step {} ({}); {} diverge, {} steps later",
                                of.batch, count_of(of.runs, collapses), of.runs.size(),
                                in_words(over_runs(of.runs, collapse_step), "runs"), first_layers(of.runs),
                                count_of(of.runs, diverges), in_words(over_runs(of.runs, lead), "runs")));
  }
  section.findings = fmt::format("{}.", fmt::join(words, ". "));

  const Spread leads = over_runs(every, lead);
  const int layers = every.empty() ? 1 : every.front().layers();
  const long long diverged = count_of(every, diverges);
  section.claims = {
      claim_in_words(
          "B.batch/lead", "Entropy collapses before training diverges.", "Section 5.2",
          fmt::format(
              "a layer's entropy is below {:g} % of log N before the last finite step, in every softmax run that "
              "diverges; inconclusive under {}",
              100 * kCollapsed, kFewestSeeds),
          fmt::format("{} of {} diverged runs had collapsed, {} steps before", leads.runs, diverged,
                      in_words(leads, "runs")),
          leads, judged(diverged, kFewestSeeds, leads.runs == diverged && leads.low > 0.0), "lead"),
      growth_claim("B.batch/variance", "Where entropy collapses the variance of the logits has grown.",
                   fmt::format("logit variance of the layer at its collapse > {:g} times that of step 1", kGrowth),
                   over_runs(every, variance_growth), kGrowth, every.size(), "together"),
      growth_claim("B.batch/gradient", "Gradients are largest after the collapse, not before it.",
                   "largest gradient norm from the first collapse on > the largest before",
                   over_runs(every, gradient_growth), 1.0, every.size(), "together"),
      batch_claim(batches)};

  Multiple entropy =
      together_panel(batches, "entropy", {"entropy H (nats)", report::Scale::kSymlog}, of_leading("entropy"));
  section.figures = {
      multiples_figure(
          {.id = "together",
           .title = "Entropy, logit variance and gradient norm of softmax",
           .caption =
               fmt::format("Entropy and logit variance of the layer that collapses first. Thin: a run up to its "
                           "last finite step; thick: the median of a batch while half of its runs go on. Gradients "
                           "above {:g} are drawn there. {}.",
                           kMostGradient, fmt::join(words, ". ")),
           .alternative = "Entropy, logit variance and gradient norm against step, one colour a batch size.",
           .columns = 1},
          std::vector<Multiple>{std::move(entropy),
                                together_panel(batches, "logit variance", {"logit variance", report::Scale::kLog},
                                               of_leading("logit_variance")),
                                together_panel(batches, "gradient norm", {"gradient norm", report::Scale::kLog},
                                               capped("gradient_norm", kMostGradient))}),
      category_figure(batches, "lead", "From the first collapse to divergence",
                      fmt::format("How long a run goes on after a layer has collapsed: {}.", in_words(leads, "runs")),
                      {"steps from collapse to divergence"}, lead),
      category_figure(batches, "divergence", "When a run diverges", "The last finite step of runs that diverge.",
                      {"last finite step"}, last_step_if_diverged),
      category_figure(
          batches, "layer", "Which layer collapses first", "Layer 1 is next to the input.",
          {"layer that collapses first"},
          [](const RegressionRun& one) {
            const auto collapse = one.first_collapse();
            return collapse ? collapse->layer + 1.0 : kNothing;
          },
          0.5, layers + 0.5)};
  for (const RegressionRun& one : every) {
    section.runs.emplace_back(fmt::format("batch {}, seed {}", one.trained().settings.at("batch").dump(),
                                          one.trained().settings.at("seed").dump()),
                              one.trained().link);
  }
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_batch() {
  return {.id = "B.batch",
          .title = "How entropy, logits and gradients move together, by batch size",
          .source = "Ours; Lipschitz paper, section 5.2",
          .question = "Which comes first, the collapse of entropy or the explosion of gradients, and by how much?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
