// Equation (9) of the Lipschitz paper on the layers of trained models.
#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/metrics/lipschitz_bound.h"
#include "polariscope/tasks/in_context_regression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polariscope::experiments {
namespace {

constexpr int kWidth = 4;
constexpr std::int64_t kSequences = 4;   // unseen ones, of each run
constexpr double kRounding = 1e-9;       // of a right side
constexpr double kBoundCollapsed = 0.1;  // of log N: as in B.bound9
constexpr double kSmallShare = 0.01;
constexpr std::array<const char*, 2> kForms{"residual", "covariate"};

using Matrix = std::vector<double>;  // [rows, kWidth]

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.size(), 0.0);
  for (std::size_t i = 0; i < a.size() / kWidth; ++i) {
    for (std::size_t k = 0; k < kWidth; ++k) {
      for (std::size_t j = 0; j < kWidth; ++j) c[i * kWidth + j] += a[i * kWidth + k] * b[k * kWidth + j];
    }
  }
  return c;
}

// A layer's map as 4 × 4: a 3 × 3 one acts on x alone, with `corner` for y.
Matrix map_of(const Safetensors& file, const std::string& name, double corner) {
  const StoredTensor* tensor = file.find(name);
  if (tensor == nullptr) throw Error("the checkpoint of the training has no \"{}\"", name);
  const std::vector<double> values = to_doubles(*tensor);
  const auto size = static_cast<std::size_t>(tensor->shape.front());
  Matrix map(kWidth * kWidth, 0.0);
  map.back() = corner;
  for (std::size_t i = 0; i < values.size(); ++i) map[i / size * kWidth + i % size] = values[i];
  return map;
}

struct Layer {
  Matrix query, key, value;
};

// The parameters that the last finite step's loss is of.
std::vector<Layer> layers_of(const RegressionRun& run) {
  const Safetensors file(run.trained().folder / "checkpoint" /
                         (run.diverged() ? "before_divergence.safetensors" : "last.safetensors"));
  std::vector<Layer> layers;
  for (int l = 1; l <= run.layers(); ++l) {
    layers.push_back({map_of(file, fmt::format("layer{}.query", l), 0.0),
                      map_of(file, fmt::format("layer{}.key", l), 0.0),
                      map_of(file, fmt::format("layer{}.value", l), 1.0)});
  }
  return layers;
}

// X + softmax(Q Kᵀ) V/N.
Matrix next(const Matrix& x, const Layer& layer) {
  const Matrix q = product(x, layer.query), k = product(x, layer.key), v = product(x, layer.value);
  const std::size_t tokens = x.size() / kWidth;
  Matrix y = x;
  for (std::size_t i = 0; i < tokens; ++i) {
    std::vector<double> weights(tokens, 0.0);
    for (std::size_t j = 0; j < tokens; ++j) {
      for (std::size_t c = 0; c < kWidth; ++c) weights[j] += q[i * kWidth + c] * k[j * kWidth + c];
    }
    const double largest = std::ranges::max(weights);
    double sum = 0.0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    for (std::size_t j = 0; j < tokens; ++j) {
      const double share = weights[j] / sum / static_cast<double>(tokens);
      for (std::size_t c = 0; c < kWidth; ++c) y[i * kWidth + c] += share * v[j * kWidth + c];
    }
  }
  return y;
}

struct Bounded {
  std::string form;
  int tokens;
  metrics::LipschitzBound bound;

  double relative_entropy() const { return bound.entropy / std::log(tokens); }
  double share() const { return bound.frobenius_norm / bound.printed(); }
  bool collapsed() const { return relative_entropy() < kBoundCollapsed; }
};

bool all_finite(const Matrix& numbers) {
  return std::ranges::all_of(numbers, [](double number) { return std::isfinite(number); });
}

// Every layer of a run on every sequence; a sequence that leaves the doubles ends there.
std::vector<Bounded> bounds_of(const RegressionRun& run, const std::string& form) {
  const std::vector<Layer> layers = layers_of(run);
  const int n = run.tokens();
  const tasks::InContextRegression task({.features = kWidth - 1, .tokens = n},
                                        run.trained().settings.at("seed").get<std::uint64_t>(),
                                        tasks::Split::kEvaluation);
  std::vector<Bounded> found;
  for (std::int64_t sequence = 0; sequence < kSequences; ++sequence) {
    std::vector<float> tokens(static_cast<std::size_t>(n) * kWidth), answer(1);
    task.fill(sequence, 1, tokens, answer);
    Matrix x(tokens.begin(), tokens.end());
    for (const Layer& layer : layers) {
      if (!all_finite(x)) break;
      found.push_back(
          {form, n,
           metrics::lipschitz_bound(
               {.tokens = n, .width = kWidth, .head_width = kWidth, .x = x, .query = layer.query, .key = layer.key})});
      x = next(x, layer);
    }
  }
  return found;
}

template <class Keep, class Figure>
Spread over(const std::vector<Bounded>& layers, const Keep& keep, const Figure& figure) {
  std::vector<double> values;
  for (const Bounded& layer : layers) {
    if (keep(layer)) values.push_back(figure(layer));
  }
  return spread_of(std::move(values));
}

const auto kEvery = [](const Bounded&) { return true; };
const auto kIsCollapsed = [](const Bounded& layer) { return layer.collapsed(); };

report::SeriesChart scatter(const std::vector<Bounded>& layers, report::Axis y,
                            std::vector<report::ReferenceLine> references, double (*figure)(const Bounded&)) {
  report::SeriesChart chart{.x = {"relative entropy H/log N"},
                            .y = std::move(y),
                            .series = {},
                            .references = std::move(references),
                            .points = true};
  for (const char* form : kForms) {
    report::Series points{.name = form, .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""};
    for (const Bounded& layer : layers) {
      if (layer.form != form) continue;
      points.x.push_back(layer.relative_entropy());
      points.y.push_back(figure(layer));
    }
    chart.series.push_back(std::move(points));
  }
  return chart;
}

report::Claim bound_claim(const char* id, const char* statement, const char* source, const std::vector<Bounded>& layers,
                          double (*right)(const Bounded&)) {
  const auto ratio = [right](const Bounded& layer) { return right(layer) / layer.bound.left; };
  const Spread ratios = over(layers, kEvery, ratio);
  const auto held = std::ranges::count_if(layers, [&](const Bounded& l) { return ratio(l) >= 1.0 - kRounding; });
  const auto all = static_cast<long long>(layers.size());
  return claim_in_words(id, statement, source, "right side ≥ left side on every layer and sequence",
                        fmt::format("{} of {} layers; right over left {} to {}", held, all, significant(ratios.low, 3),
                                    significant(ratios.high, 3)),
                        ratios, held == all ? report::Verdict::kHolds : report::Verdict::kFails, "slack");
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  std::vector<std::pair<RegressionRun, std::string>> read;
  for (const char* form : kForms) {
    for (RegressionRun& one : runs.read(paper_variants()[0], form, runs.batch)) read.emplace_back(std::move(one), form);
  }
  std::vector<std::vector<Bounded>> of_runs(read.size());
  report::Section section;
  parallel_for(static_cast<std::int64_t>(read.size()), context.threads, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    of_runs[at] = bounds_of(read[at].first, read[at].second);
  });
  std::vector<Bounded> layers;
  std::size_t planned = 0;
  for (std::size_t i = 0; i < read.size(); ++i) {
    layers.insert(layers.end(), of_runs[i].begin(), of_runs[i].end());
    planned += static_cast<std::size_t>(kSequences) * static_cast<std::size_t>(read[i].first.layers());
    section.runs.emplace_back(
        fmt::format("{}, seed {}", read[i].second, read[i].first.trained().settings.at("seed").dump()),
        read[i].first.trained().link);
  }
  const auto share = [](const Bounded& layer) { return layer.share(); };
  const auto left = [](const Bounded& layer) { return layer.bound.left; };
  const Spread shares = over(layers, kIsCollapsed, share), steep = over(layers, kIsCollapsed, left);
  const Spread others = over(
      layers, [](const Bounded& layer) { return !layer.collapsed(); }, left);
  const Spread slack =
      over(layers, kIsCollapsed, [](const Bounded& layer) { return layer.bound.printed() / layer.bound.left; });
  const auto small = std::ranges::count_if(
      layers, [](const Bounded& layer) { return layer.collapsed() && layer.share() < kSmallShare; });
  section.method = fmt::format(
      "{} Both sides of (9) for every layer of softmax's runs in two layer forms, with the parameters of the last "
      "finite "
      "step and the tokens that enter the layer on {} unseen sequences; values are the tokens, as (9) demands. {} of "
      "{} "
      "layers have finite tokens.",
      runs.method(), kSequences, layers.size(), planned);
  section.findings = fmt::format(
      "{} layers have collapsed (H < {:g} log N): their steepness ‖DA‖ is {} against {} of the others, their right "
      "side "
      "{} times as much, of which ‖P‖_F is {}.",
      shares.runs, kBoundCollapsed, in_words(steep, "layers"), in_words(others, "layers"), in_words(slack, "layers"),
      in_words(shares, "layers", 2));
  section.claims = {
      bound_claim("B.bound9-trained/printed", "No trained layer is steeper than the right side of (9).", "Equation (9)",
                  layers, [](const Bounded& layer) { return layer.bound.printed(); }),
      bound_claim("B.bound9-trained/provable",
                  "No trained layer is steeper than ‖P‖₂ + max‖x‖ σ_max(DZ)/√2, which can be computed exactly.", "Ours",
                  layers, [](const Bounded& layer) { return layer.bound.provable(); }),
      claim_of_count(
          "B.bound9-trained/share",
          fmt::format("Where training has collapsed attention, ‖P‖_F is under {:g} % of the right side of (9).",
                      100.0 * kSmallShare),
          "Ours",
          fmt::format("‖P‖_F over the right side < {:g} in nine of ten layers with H < {:g} log N", kSmallShare,
                      kBoundCollapsed),
          small, shares.runs, "collapsed layers", static_cast<double>(small) >= 0.9 * static_cast<double>(shares.runs),
          "share"),
      claim_in_words(
          "B.bound9-trained/steeper", "Trained layers whose attention has collapsed are steeper than others.",
          "Section 5",
          fmt::format("median left side of layers with H < {:g} log N above that of the others", kBoundCollapsed),
          fmt::format("{} against {}", in_words(steep, "layers"), in_words(others, "layers")), steep,
          judged(others.runs, 1, steep.median > others.median), "left")};
  section.figures = {
      chart_figure("left", "How steep a trained layer is",
                   fmt::format("One dot a layer on a sequence. Collapsed layers: {}; others: {}.",
                               in_words(steep, "layers"), in_words(others, "layers")),
                   "Left side of equation (9) against relative entropy.",
                   scatter(layers, {"‖DA‖", report::Scale::kLog}, {}, [](const Bounded& l) { return l.bound.left; })),
      chart_figure("share", "How much of the bound ‖P‖_F is",
                   fmt::format("One dot a layer on a sequence. Collapsed layers: {}.", in_words(shares, "layers", 2)),
                   "Share of the Frobenius norm in the right side against relative entropy.",
                   scatter(layers, {"‖P‖_F over the right side of (9)", report::Scale::kLog},
                           {{fmt::format("{:g} %", 100.0 * kSmallShare), kSmallShare}},
                           [](const Bounded& l) { return l.share(); })),
      chart_figure("slack", "How far the bound is above what it bounds",
                   fmt::format("One dot a layer on a sequence. Collapsed layers: {}.", in_words(slack, "layers")),
                   "Right side over left side of equation (9) against relative entropy.",
                   scatter(layers, {"right side over left side", report::Scale::kLog}, {{"tight", 1.0}},
                           [](const Bounded& l) { return l.bound.printed() / l.bound.left; }))};
  section.configuration = configuration_of(runs.all);
  section.differences = "The paper states (9) without computing it. " + runs.differences(context);
  return section;
}

}  // namespace

Experiment b_bound9_trained() {
  return {.id = "B.bound9-trained",
          .title = "What bounds the steepness of a trained layer",
          .source = "Lipschitz paper, equation (9)",
          .question = "Do trained layers get steeper when their attention collapses, and is it ‖P‖_F that says so?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
