#include "polariscope/experiments/lipschitz/regression_runs.h"

#include "polariscope/base/files.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/report/colours.h"
#include "polariscope/runs/collapse_detector.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
struct NormLooks {
  std::string_view norm, name, colour;
};
constexpr std::array kNorms{NormLooks{"layer", "QK-LayerNorm", "orange"}, NormLooks{"rms", "QK-RMSNorm", "violet"},
                            NormLooks{"l2", "QK-L2", "pink"}};

// Null for "no".
const NormLooks* looks_of(std::string_view norm) {
  const auto* found = std::ranges::find(kNorms, norm, &NormLooks::norm);
  return found == kNorms.end() ? nullptr : found;
}

double median_of(std::span<const double> values) {
  return spread_of(std::vector<double>(values.begin(), values.end())).median;
}

// The value with the largest count; of equals the largest. 0 of none.
int most_frequent(const std::map<int, int>& counts) {
  int value = 0, most = 0;
  for (const auto& [one, count] : counts) {
    if (count < most) continue;
    most = count;
    value = one;
  }
  return value;
}

// A setting's value that most runs have; of equals the first of the grid.
json usual(const std::vector<TrainedRun>& runs, const char* setting) {
  std::vector<std::pair<json, int>> counts;
  for (const TrainedRun& run : runs) {
    const json& value = run.settings.at(setting);
    const auto found = std::ranges::find(counts, value, &std::pair<json, int>::first);
    if (found == counts.end()) {
      counts.emplace_back(value, 1);
    } else {
      ++found->second;
    }
  }
  const auto most = std::ranges::max_element(counts, {}, &std::pair<json, int>::second);
  return most == counts.end() ? json() : most->first;
}

}  // namespace

std::string AttentionVariant::name() const {
  const NormLooks* norm = looks_of(qk_norm);
  if (norm == nullptr) return attention;
  return attention == "softmax" ? std::string(norm->name) : fmt::format("{}, {}", attention, norm->name);
}

std::string AttentionVariant::colour() const {
  const NormLooks* norm = looks_of(qk_norm);
  return norm == nullptr ? colour_of(attention) : report::named_colour(norm->colour);
}

std::span<const AttentionVariant> paper_variants() {
  static const std::array<AttentionVariant, 4> kPaper{
      AttentionVariant{"softmax"}, {"softmax", "layer"}, {"relu_kernel/sum"}, {"elu1_kernel/sum"}};
  return kPaper;
}

RegressionRun::RegressionRun(TrainedRun trained)
    : trained_(std::move(trained)), log_(runs::read_run_log(trained_.folder / "metrics.jsonl")) {
  if (diverged()) runs::cut_after(log_, trained_.metric("last_finite_step"));
}

double RegressionRun::uniform_entropy() const {
  const bool causal = trained_.settings.value("causal", false);
  return causal ? runs::map_shape(1, 1, tokens(), true).uniform_entropy : std::log(tokens());
}

std::optional<double> RegressionRun::told_collapse_of(int layer) const {
  const std::filesystem::path path = trained_.folder / "alarms.jsonl";
  if (!std::filesystem::exists(path)) return std::nullopt;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const json alarm = json::parse(line);
    const bool told = alarm.at("kind") == "collapse" && alarm.at("layer") == layer + 1;
    if (told) return alarm.at("step").get<double>();
  }
  return std::nullopt;
}

std::optional<double> RegressionRun::collapse_of(int layer) const {
  const std::vector<double>& entropy = log_.layer("entropy", static_cast<std::size_t>(layer));
  const double collapsed = kCollapsed * uniform_entropy();
  const auto found = std::ranges::find_if(entropy, [=](double H) { return H < collapsed; });
  if (found == entropy.end()) return std::nullopt;
  return log_.step[static_cast<std::size_t>(found - entropy.begin())];
}

std::optional<Collapse> RegressionRun::first_collapse() const {
  std::optional<Collapse> first;
  for (int layer = 0; layer < layers(); ++layer) {
    const std::optional<double> step = collapse_of(layer);
    if (step && (!first || *step < first->step)) first = Collapse{layer, *step};
  }
  return first;
}

double RegressionRun::lowest_entropy() const {
  double lowest = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& layer : log_.layers.at("entropy")) {
    lowest = std::min(lowest, spread_of(layer).low);
  }
  return lowest / uniform_entropy();
}

std::vector<double> RegressionRun::mean_over_layers(const char* statistic) const {
  std::vector<double> mean(log_.steps(), 0.0);
  for (int layer = 0; layer < layers(); ++layer) {
    const std::vector<double>& of = log_.layer(statistic, static_cast<std::size_t>(layer));
    for (std::size_t n = 0; n < mean.size(); ++n) mean[n] += of[n] / layers();
  }
  return mean;
}

double RegressionRun::final_loss() const {
  if (diverged()) return kNothing;
  const std::vector<double>& loss = log_.number("loss");
  return median_of(std::span(loss).last(std::max<std::size_t>(1, loss.size() / 20)));
}

double RegressionRun::lowest_loss() const {
  constexpr std::size_t kWindow = 20;
  const std::span<const double> loss = log_.number("loss");
  double lowest = median_of(loss.first(std::min(kWindow, loss.size())));
  for (std::size_t at = kWindow; at + kWindow <= loss.size(); at += kWindow) {
    lowest = std::min(lowest, median_of(loss.subspan(at, kWindow)));
  }
  return lowest;
}

double RegressionRun::gradient_peak() const {
  const Spread norm = spread_of(log_.number("gradient_norm"));
  return norm.high / norm.median;
}

RegressionRuns::RegressionRuns(const Context& context) : all(context) {
  std::map<int, int> batches, lengths;
  for (const TrainedRun& run : all.done()) {
    ++batches[run.settings.at("batch").get<int>()];
    ++lengths[run.tokens()];
  }
  batch = most_frequent(batches);
  tokens = most_frequent(lengths);
  main = {{"optimiser", usual(all.done(), "optimiser")},
          {"learning_rate", usual(all.done(), "learning_rate")},
          {"causal", usual(all.done(), "causal")}};
}

double RegressionRuns::uniform_entropy() const { return std::log(tokens); }
double RegressionRuns::one_hot_norm() const { return std::sqrt(tokens); }

std::vector<RegressionRun> RegressionRuns::read(const AttentionVariant& variant, const char* form, int size) const {
  json settings = main;
  settings["layer_form"] = form;
  settings["batch"] = size;
  return read_with(variant, settings);
}

std::vector<RegressionRun> RegressionRuns::read_with(const AttentionVariant& variant, const json& settings) const {
  json wanted = main;
  wanted.update({{"layer_form", "residual"}, {"batch", batch}});
  wanted.update(settings);
  wanted.update({{"attention", variant.attention}, {"qk_norm", variant.qk_norm}});
  std::vector<RegressionRun> runs;
  for (TrainedRun& run : all.where(wanted)) {
    const bool fits = run.tokens() == tokens && run.metric("last_finite_step") >= 1.0;
    if (fits) runs.emplace_back(std::move(run));
  }
  return runs;
}

std::vector<AttentionVariant> RegressionRuns::variants() const {
  std::vector<AttentionVariant> found;
  json settings = main;
  settings.update({{"layer_form", "residual"}, {"batch", batch}});
  for (const TrainedRun& run : all.where(settings)) {
    AttentionVariant variant{run.attention(), run.settings.at("qk_norm").get<std::string>()};
    if (std::ranges::find(found, variant) == found.end()) found.push_back(std::move(variant));
  }
  return found;
}

std::vector<int> RegressionRuns::batches() const {
  std::vector<int> sizes;
  for (const json& size : all.values_of("batch")) sizes.push_back(size.get<int>());
  std::ranges::sort(sizes);
  return sizes;
}

std::string RegressionRuns::method() const {
  const std::vector<json> steps = all.values_of("steps");
  std::set<int> layers;
  for (const TrainedRun& run : all.done()) layers.insert(run.whole_setting("layers"));
  return fmt::format(
      "Models of {} layers of attention alone learn in-context linear regression, {} examples and a query of "
      "{} tokens, by SGD with momentum unless another optimiser is named, {} steps on fresh batches of {}; a run ends "
      "when its loss or gradient is not "
      "finite. A layer has collapsed when its mean entropy is below {:g} % of log N. {}",
      listed(layers), tokens - 1, tokens, steps.size() == 1 ? steps.front().dump() : "several numbers of", batch,
      100 * kCollapsed, all.count_in_words());
}

std::string RegressionRuns::differences(const Context& context) const {
  std::string text =
      "The paper leaves the layer open: drawn is X + PV/N with 4 × 4 maps, unless a figure names another (B.forms "
      "compares three). Scores are not divided by √width. The ReLU kernel's features have 0.01 added, so that no row "
      "is "
      "all zero.";
  if (context.paper()) return text;
  return text +
         " Softmax alone is trained on every batch, the others on the smallest; the paper takes batches of 4000.";
}

Windows windows_of(const std::vector<RegressionRun>& runs, const Reading& reading, int count) {
  constexpr double kGrowth = 0.06;  // of the step, for the first windows
  double last = 0.0;
  for (const RegressionRun& run : runs) last = std::max(last, run.last_step());
  const double widest = std::max(1.0, std::ceil(last / count));
  Windows result;
  for (double end = 1.0; end < last; end += std::clamp(std::ceil(kGrowth * end), 1.0, widest)) {
    result.step.push_back(end);
  }
  result.step.push_back(last);
  for (const RegressionRun& run : runs) {
    std::vector<std::vector<double>> parts(result.step.size());
    const std::vector<double> values = reading(run);
    for (std::size_t n = 0; n < values.size(); ++n) {
      const auto window = std::ranges::lower_bound(result.step, run.log().step[n]) - result.step.begin();
      parts[static_cast<std::size_t>(window)].push_back(values[n]);
    }
    std::vector<double>& medians = result.runs.emplace_back();
    for (const std::vector<double>& part : parts) medians.push_back(median_of(part));
  }
  return result;
}

Reading capped(const char* number, double most) {
  return [=](const RegressionRun& run) {
    std::vector<double> values = run.log().number(number);
    for (double& value : values) value = std::min(value, most);
    return values;
  };
}

Reading capped_layer(const char* statistic, std::size_t layer, double most) {
  return [=](const RegressionRun& run) {
    std::vector<double> values = run.log().layer(statistic, layer);
    for (double& value : values) value = std::min(value, most);
    return values;
  };
}

void add_lines(report::SeriesChart& chart, const std::string& name, const std::string& colour,
               const std::vector<RegressionRun>& runs, const Reading& reading, bool single_runs) {
  if (runs.empty()) return;
  const Windows windows = windows_of(runs, reading);
  report::Series line{.name = name, .x = windows.step, .y = {}, .low = {}, .high = {}, .colour = colour};
  for (std::size_t w = 0; w < windows.step.size(); ++w) {
    std::vector<double> values;
    for (const std::vector<double>& run : windows.runs) values.push_back(run[w]);
    const Spread spread = spread_of(std::move(values));
    const bool half = 2 * spread.runs >= static_cast<long long>(runs.size());
    line.y.push_back(half ? spread.median : kNothing);
    line.low.push_back(spread.low);
    line.high.push_back(spread.high);
  }
  if (single_runs) line.low = line.high = {};
  for (std::size_t r = 0; single_runs && r < runs.size(); ++r) {
    report::Series one{.name = name, .x = windows.step, .y = windows.runs[r], .low = {}, .high = {}, .colour = colour};
    while (!one.x.empty() && one.x.back() >= runs[r].last_step()) {
      one.x.pop_back();
      one.y.pop_back();
    }
    one.x.push_back(runs[r].last_step());
    one.y.push_back(reading(runs[r]).back());
    one.faint = true;
    chart.series.push_back(std::move(one));
  }
  chart.series.push_back(std::move(line));
}

void mark_collapse(report::SeriesChart& chart, const std::string& name, const std::string& colour,
                   const std::vector<RegressionRun>& runs, const Reading& reading, int layer) {
  std::vector<double> steps;
  for (const RegressionRun& run : runs) {
    if (const auto step = run.told_collapse_of(layer)) steps.push_back(*step);
  }
  if (steps.empty() || 2 * steps.size() < runs.size()) return;
  const Spread step = spread_of(steps);
  const Windows windows = windows_of(runs, reading);
  const auto window =
      static_cast<std::size_t>(std::ranges::lower_bound(windows.step, step.median) - windows.step.begin());
  std::vector<double> values;
  for (const std::vector<double>& run : windows.runs) values.push_back(run[window]);
  chart.marks.push_back({.name = fmt::format("{}: collapse at step {}", name, in_words(step, "runs")),
                         .x = windows.step[window],
                         .y = spread_of(std::move(values)).median,
                         .colour = colour});
}

Spread over_runs(const std::vector<RegressionRun>& runs, const std::function<double(const RegressionRun&)>& figure) {
  std::vector<double> values;
  for (const RegressionRun& run : runs) values.push_back(figure(run));
  return spread_of(std::move(values));
}

long long count_of(const std::vector<RegressionRun>& runs, const std::function<bool(const RegressionRun&)>& property) {
  return std::ranges::count_if(runs, property);
}

bool collapses(const RegressionRun& run) { return run.lowest_entropy() < kCollapsed; }
bool diverges(const RegressionRun& run) { return run.diverged(); }
bool keeps_entropy(const RegressionRun& run) { return run.lowest_entropy() > kKept; }

report::Claim claim_of_every(std::string id, std::string statement, std::string source, std::string criterion,
                             const std::vector<RegressionRun>& runs,
                             const std::function<bool(const RegressionRun&)>& property, const std::string& further,
                             std::string evidence) {
  const long long count = count_of(runs, property);
  const auto total = static_cast<long long>(runs.size());
  report::Claim made = claim_of_count(std::move(id), std::move(statement), std::move(source),
                                      fmt::format("{}, in every run; inconclusive under {}", criterion, kFewestSeeds),
                                      count, total, "runs", count == total, std::move(evidence), kFewestSeeds);
  if (!further.empty()) made.measured += "; " + further;
  return made;
}

std::vector<RunsOfVariant> paper_runs(const RegressionRuns& runs) {
  std::vector<RunsOfVariant> found;
  for (const AttentionVariant& variant : paper_variants()) found.emplace_back(variant, runs.read(variant));
  return found;
}

report::SeriesChart chart_of_variants(const std::vector<RunsOfVariant>& variants, report::Axis y,
                                      const Reading& reading, bool single_runs, std::optional<int> marked_layer) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  for (const auto& [variant, runs] : variants) {
    add_lines(chart, variant.name(), variant.colour(), runs, reading, single_runs);
    if (marked_layer) mark_collapse(chart, variant.name(), variant.colour(), runs, reading, *marked_layer);
  }
  return chart;
}

void add_links(report::Section& section, const std::vector<RunsOfVariant>& variants) {
  for (const auto& [variant, runs] : variants) {
    for (const RegressionRun& run : runs) {
      section.runs.emplace_back(fmt::format("{}, seed {}", variant.name(), run.trained().settings.at("seed").dump()),
                                run.trained().link);
    }
  }
}

std::string of_each_variant(const std::vector<std::pair<std::string, Spread>>& spreads) {
  std::string text;
  for (const auto& [name, spread] : spreads) {
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", name, in_words(spread, "runs"));
  }
  return text;
}

}  // namespace polariscope::experiments
