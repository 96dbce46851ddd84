#include "polariscope/experiments/language/language_runs.h"

#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/collapse_detector.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::experiments {
namespace {

constexpr int kWindows = 120;
constexpr double kFallen = 0.5;  // of uniform rows' entropy: a layer below it has lost much of its own

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
report::Series line_of(const AttentionVariant& variant, const std::vector<Windowed>& runs) {
  report::Series line{.name = variant.name(), .x = {}, .y = {}, .low = {}, .high = {}, .colour = variant.colour()};
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

std::vector<LanguageRun> read(const TrainedRuns& all, const char* model, const AttentionVariant& variant) {
  std::vector<LanguageRun> runs;
  for (const TrainedRun& one :
       all.where({{"model", model}, {"attention", variant.attention}, {"qk_norm", variant.qk_norm}})) {
    runs.emplace_back(one);
  }
  return runs;
}

}  // namespace

LanguageRun::LanguageRun(TrainedRun trained)
    : trained_(std::move(trained)),
      log_(runs::read_run_log(trained_.folder / "metrics.jsonl")),
      validation_(runs::read_run_log(trained_.folder / "validation.jsonl")) {
  if (log_.steps() == 0) throw Error("{} has no steps", (trained_.folder / "metrics.jsonl").string());
  if (diverged()) runs::cut_after(log_, trained_.metric("last_finite_step"));
}

double LanguageRun::uniform_entropy() const {
  const runs::MapShape shape = runs::map_shape(1, 1, trained_.whole_setting("context"), true);
  return shape.uniform_entropy;
}

double LanguageRun::lowest_entropy() const {
  double lowest = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& layer : log_.layers.at("entropy")) {
    for (const double entropy : layer) {
      if (entropy < lowest) lowest = entropy;  // NaN is none
    }
  }
  return lowest / uniform_entropy();
}

std::vector<double> LanguageRun::mean_over_layers(const char* statistic) const {
  std::vector<double> means(log_.steps(), 0.0);
  for (int layer = 0; layer < layers(); ++layer) {
    const std::vector<double>& values = log_.layer(statistic, static_cast<std::size_t>(layer));
    for (std::size_t s = 0; s < means.size(); ++s) means[s] += values[s] / layers();
  }
  return means;
}

double LanguageRun::final_validation_loss() const {
  return diverged() ? std::nan("") : validation_.number("loss").back();
}

double LanguageRun::final_norm() const { return mean_over_layers("frobenius_norm").back(); }

LanguageRuns::LanguageRuns(const Context& given, const char* of_model) : all(given), model(of_model) {
  for (const AttentionVariant& variant : paper_variants()) {
    attentions.push_back({variant, read(all, of_model, variant)});
    for (const LanguageRun& run : attentions.back().runs) context = run.trained().whole_setting("context");
  }
}

double LanguageRuns::uniform_entropy() const { return runs::map_shape(1, 1, context, true).uniform_entropy; }

double LanguageRuns::uniform_norm() const {
  double sum = 0.0;
  for (int i = 1; i <= context; ++i) sum += 1.0 / i;
  return std::sqrt(sum);
}

double LanguageRuns::one_hot_norm() const { return std::sqrt(static_cast<double>(context)); }

std::string LanguageRuns::method() const {
  return fmt::format(
      "{} A model of {}'s shape reads the text of the documentation, a token a byte, in sequences of {}; AdamW, a "
      "cosine to a tenth, clipping at 1. The last hundredth of the text is for validation. Every number of every head "
      "is of the training batches, at every step.",
      all.count_in_words(), model, context);
}

std::string LanguageRuns::differences() const {
  return fmt::format(
      "The paper trains 1.1 billion parameters on two billion tokens of the Pile, and GPT2-large; here are a few "
      "million on 195 KB of text read more than once, in sequences of {} where the paper has 768 and 200. What the "
      "paper does not print is ours: betas 0.9 and 0.95, no warm-up, scores over the root of the head's width, "
      "LayerNorm "
      "of each head's queries and keys before rotation, relu + 0.01.",
      context);
}

std::string LanguageRuns::findings() const {
  std::vector<std::pair<std::string, Spread>> entropies, losses;
  for (const RunsOfAttention& of : attentions) {
    entropies.emplace_back(of.variant.name(), over_runs(of, &LanguageRun::lowest_entropy));
    losses.emplace_back(of.variant.name(), over_runs(of, &LanguageRun::final_validation_loss));
  }
  return fmt::format(
      "Lowest entropy of a layer, over that of uniform rows: {}. Last validation loss, nats a token: {}.",
      of_each_variant(entropies), of_each_variant(losses));
}

std::vector<std::pair<std::string, std::string>> LanguageRuns::links() const {
  std::vector<std::pair<std::string, std::string>> links;
  for (const RunsOfAttention& of : attentions) {
    for (const LanguageRun& run : of.runs) {
      links.emplace_back(fmt::format("{}, {}, rate {:g}, seed {}", model, of.variant.name(), run.learning_rate(),
                                     run.trained().settings.at("seed").dump()),
                         run.trained().link);
    }
  }
  return links;
}

report::SeriesChart language_chart(const LanguageRuns& runs, report::Axis y, const LanguageReading& reading) {
  const std::size_t width = window_of(runs);
  return chart_of(runs, std::move(y),
                  [&](const LanguageRun& run) { return windowed(run.log().step, reading(run), width); });
}

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

Spread over_runs(const RunsOfAttention& of, const std::function<double(const LanguageRun&)>& figure) {
  std::vector<double> values;
  for (const LanguageRun& run : of.runs) values.push_back(figure(run));
  return spread_of(std::move(values));
}

report::Claim claim_of_attention(std::string id, std::string statement, std::string source, std::string criterion,
                                 const RunsOfAttention& of, const std::function<bool(const LanguageRun&)>& property,
                                 const std::string& further, std::string evidence) {
  const long long count = std::ranges::count_if(of.runs, property), runs = std::ssize(of.runs);
  report::Claim claim = claim_of_count(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                                       count, runs, "runs", count == runs, std::move(evidence));
  claim.measured += "; " + further;
  return claim;
}

std::vector<report::Claim> language_claims(const LanguageRuns& runs, const std::string& experiment,
                                           const std::string& figure) {
  const std::string source = "Section 4.1, figure " + figure;
  const auto id = [&](const char* name) { return experiment + "/" + name; };
  const auto fallen = [](const LanguageRun& run) { return run.lowest_entropy() < kFallen; };
  const auto lowest = [&](const RunsOfAttention& of) {
    return fmt::format("lowest H of a layer over uniform rows' {}",
                       in_words(over_runs(of, &LanguageRun::lowest_entropy), "runs"));
  };
  std::vector<report::Claim> claims;
  struct Named {
    const char *id, *name;
    std::size_t number;
  };
  for (const auto& [short_name, name, number] :
       {Named{"softmax", "softmax", 0}, Named{"qk-layernorm", "QK-LayerNorm", 1}}) {
    const RunsOfAttention& of = runs.attentions.at(number);
    claims.push_back(claim_of_attention(
        id(short_name), fmt::format("With {} entropy falls.", name), source,
        fmt::format("mean entropy of some layer below {:g} % of uniform rows' at some step", 100 * kFallen), of, fallen,
        lowest(of), "entropy"));
  }
  for (const auto& [short_name, name, number] : {Named{"relu", "ReLU kernel", 2}, Named{"elu1", "ELU+1 kernel", 3}}) {
    const RunsOfAttention& of = runs.attentions.at(number);
    claims.push_back(claim_of_attention(
        id(short_name), fmt::format("The {} keeps its entropy.", name), source,
        fmt::format("mean entropy of every layer above {:g} % of uniform rows' at every step", 100 * kFallen), of,
        [&](const LanguageRun& run) { return !fallen(run); }, lowest(of), "entropy"));
  }
  const Spread softmax_norm = over_runs(runs.attentions[0], &LanguageRun::final_norm);
  const Spread relu_norm = over_runs(runs.attentions[2], &LanguageRun::final_norm),
               elu_norm = over_runs(runs.attentions[3], &LanguageRun::final_norm);
  claims.push_back(claim_in_words(
      id("norm"), "‖P‖_F rises with softmax and stays near uniform rows' with the kernels.", source,
      "at the last step, mean over layers: softmax's median above both kernels' medians",
      fmt::format("softmax {}, ReLU kernel {}, ELU+1 kernel {}; uniform rows {:.2f}", in_words(softmax_norm, "runs"),
                  in_words(relu_norm, "runs"), in_words(elu_norm, "runs"), runs.uniform_norm()),
      softmax_norm,
      judged(std::min({softmax_norm.runs, relu_norm.runs, elu_norm.runs}), 1,
             softmax_norm.median > std::max(relu_norm.median, elu_norm.median)),
      "training"));
  const Spread softmax_loss = over_runs(runs.attentions[0], &LanguageRun::final_validation_loss),
               relu_loss = over_runs(runs.attentions[2], &LanguageRun::final_validation_loss);
  claims.push_back(claim_in_words(
      id("loss"), "The ReLU kernel ends with the lower validation loss.", source,
      "median last validation loss of the ReLU kernel below softmax's, over learning rates and seeds",
      fmt::format("{} against {}", in_words(relu_loss, "runs", 3, "nats"), in_words(softmax_loss, "runs", 3, "nats")),
      relu_loss, judged(std::min(softmax_loss.runs, relu_loss.runs), 1, relu_loss.median < softmax_loss.median),
      "training"));
  return claims;
}

}  // namespace polariscope::experiments
