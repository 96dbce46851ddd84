#include "polariscope/experiments/language/language_figures.h"

#include "polariscope/experiments/shared/multiples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace polariscope::experiments {
namespace {

constexpr int kWindows = 120;

double median_of(std::vector<double> values) { return spread_of(std::move(values)).median; }

struct Windowed {
  std::vector<double> step, value;
};

// Steps of a window, of which the longest run has about kWindows: the same for all, also for one that ended early.
std::size_t window_of(const LanguageRuns& runs) {
  std::size_t longest = 0;
  for (const RunsOfAttention& of : runs.attentions) {
    for (const LanguageRun& run : of.runs) longest = std::max(longest, run.log().steps());
  }
  return std::max<std::size_t>(1, longest / kWindows);
}

// Medians of windows of `width` steps.
Windowed windowed(const std::vector<double>& step, const std::vector<double>& value, std::size_t width) {
  Windowed result;
  for (std::size_t first = 0; first < step.size(); first += width) {
    const std::size_t end = std::min(first + width, step.size());
    result.step.push_back(step[end - 1]);
    result.value.push_back(median_of(
        {value.begin() + static_cast<std::ptrdiff_t>(first), value.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  return result;
}

// The line of one attention over its runs' points, all of which stand at the steps of the longest.
report::Series line_of(const LanguageVariant& variant, const std::vector<Windowed>& runs) {
  report::Series line{.name = variant.name, .x = {}, .y = {}, .low = {}, .high = {}, .colour = variant.colour};
  const auto longest = std::ranges::max_element(runs, {}, [](const Windowed& run) { return run.step.size(); });
  if (longest == runs.end()) return line;
  line.x = longest->step;
  for (std::size_t w = 0; w < line.x.size(); ++w) {
    std::vector<double> values;
    for (const Windowed& run : runs) {
      if (w < run.value.size()) values.push_back(run.value[w]);
    }
    const bool half = 2 * values.size() >= runs.size();
    const Spread spread = spread_of(std::move(values));
    line.y.push_back(half ? spread.median : std::nan(""));
    line.low.push_back(half ? spread.low : std::nan(""));
    line.high.push_back(half ? spread.high : std::nan(""));
  }
  if (runs.size() < 2) line.low = line.high = {};
  return line;
}

report::SeriesChart chart_of(const LanguageRuns& runs, report::Axis y,
                             const std::function<Windowed(const LanguageRun&)>& points) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  for (const RunsOfAttention& of : runs.attentions) {
    std::vector<Windowed> lines;
    for (const LanguageRun& run : of.runs) lines.push_back(points(run));
    if (!lines.empty()) chart.series.push_back(line_of(of.variant, lines));
  }
  return chart;
}

// None without a run, which says the context.
std::vector<report::ReferenceLine> uniform_line(const LanguageRuns& runs, double y) {
  if (runs.context == 0) return {};
  return {{fmt::format("uniform {:.2f}", y), y}};
}

// A line an attention: the median over its runs, with their range; single steps are medians of windows.
report::SeriesChart language_chart(const LanguageRuns& runs, report::Axis y,
                                   const std::function<std::vector<double>(const LanguageRun&)>& reading) {
  const std::size_t width = window_of(runs);
  return chart_of(runs, std::move(y),
                  [&](const LanguageRun& run) { return windowed(run.log().step, reading(run), width); });
}

}  // namespace

report::SeriesChart validation_chart(const LanguageRuns& runs) {
  return chart_of(runs, {"validation loss (nats a token)"}, [](const LanguageRun& run) {
    Windowed points;
    const std::vector<double>&step = run.validation().step, &loss = run.validation().number("loss");
    for (std::size_t i = 0; i < step.size(); ++i) {
      if (step[i] == 0.0) continue;
      points.step.push_back(step[i]);
      points.value.push_back(loss[i]);
    }
    return points;
  });
}

report::Figure four_panels(const LanguageRuns& runs, const std::string& what) {
  report::SeriesChart entropy = language_chart(runs, {"entropy H of the first layer (nats)"},
                                               [](const LanguageRun& run) { return run.log().layer("entropy", 0); });
  entropy.references = uniform_line(runs, runs.uniform_entropy());
  report::SeriesChart norm = language_chart(
      runs, {"‖P‖_F, mean over layers"}, [](const LanguageRun& run) { return run.mean_over_layers("frobenius_norm"); });
  norm.references = uniform_line(runs, runs.uniform_norm());
  if (runs.context > 0)
    norm.references.push_back({fmt::format("one-hot {:.1f}", runs.one_hot_norm()), runs.one_hot_norm()});
  const auto number = [](const char* name) {
    return [name](const LanguageRun& run) { return run.log().number(name); };
  };
  return multiples_figure(
      {.id = "training",
       .title = fmt::format("{} learns text with four attentions", what),
       .caption =
           "Median over the runs of an attention, with their range where there are several. Lines of reference are "
           "those of causal rows: uniform ones, and rows with one weight.",
       .alternative = "Loss, gradient norm, first layer's entropy and norm of attention against step, one colour an "
                      "attention.",
       .columns = 2},
      std::vector<Multiple>{
          panel("loss", language_chart(runs, {"training loss (nats a token)"}, number("loss"))),
          panel("gradient norm",
                language_chart(runs, {"gradient norm, before clipping", report::Scale::kLog}, number("gradient_norm"))),
          panel("entropy", entropy), panel("norm of attention", norm)});
}

report::Figure entropy_panels(const LanguageRuns& runs) {
  std::vector<Multiple> panels;
  int layers = 1;  // an empty panel without runs
  for (const RunsOfAttention& of : runs.attentions) {
    for (const LanguageRun& run : of.runs) layers = std::max(layers, run.layers());
  }
  for (int layer = 0; layer < layers; ++layer) {
    report::SeriesChart chart = language_chart(runs, {"entropy H (nats)"}, [layer](const LanguageRun& run) {
      return run.log().layer("entropy", static_cast<std::size_t>(layer));
    });
    chart.references = uniform_line(runs, runs.uniform_entropy());
    panels.push_back(panel(fmt::format("layer {}", layer + 1), chart));
  }
  return multiples_figure({.id = "entropy",
                           .title = "Mean entropy of every layer",
                           .caption = "Means over heads, rows and the batch; median and range over the runs.",
                           .alternative = "Mean entropy against step, one panel a layer, one colour an attention.",
                           .columns = 3},
                          panels);
}

}  // namespace polariscope::experiments
