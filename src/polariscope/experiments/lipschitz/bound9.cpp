#include "polariscope/experiments/lipschitz/bound9.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/random.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polariscope::experiments::lipschitz::bound9 {
namespace {

constexpr double kNearlyUniform = 0.9;  // above it as nearly uniform
constexpr double kRounding = 1e-9;      // of a right side
constexpr double kSmallShare = 0.01;    // of the right side

// Tokens N(0, 1), W_Q and W_K scale·N(0, 1/width): from uniform attention to collapsed. A seed's layers differ in
// their scale alone.
metrics::LipschitzBound random_layer_bound(const Size& size, double scale, RandomStream random) {
  std::vector<double> x(size.tokens * size.width), query(size.width * size.width), key(query.size());
  const double spread = scale / std::sqrt(static_cast<double>(size.width));
  random.fill_normal(x, 1.0);
  random.fill_normal(query, spread);
  random.fill_normal(key, spread);
  return metrics::lipschitz_bound(
      {.tokens = size.tokens, .width = size.width, .head_width = size.width, .x = x, .query = query, .key = key});
}

template <class Keep, class Reading>
Spread over_layers(const Measured& layers, const Keep& keep, const Reading& reading) {
  std::vector<double> values;
  for (const Layer& layer : layers) {
    if (keep(layer)) values.push_back(reading(layer));
  }
  return spread_of(std::move(values));
}

// Median over the layers of each scale and their range; of the paper's size, which comes first.
template <class Reading>
report::Series against_scale(const Protocol& protocol, const Measured& layers, std::string name, std::string colour,
                             const Reading& reading) {
  report::Series line{.name = std::move(name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = std::move(colour)};
  const std::int64_t tokens = protocol.sizes.front().tokens;
  for (const double scale : protocol.scales) {
    const Spread spread = over_layers(
        layers, [&](const Layer& l) { return l.scale == scale && l.size.tokens == tokens; }, reading);
    line.x.push_back(scale);
    line.y.push_back(spread.median);
    line.low.push_back(spread.low);
    line.high.push_back(spread.high);
  }
  return line;
}

double of_entropy(const Layer& layer) { return layer.bound.entropy; }
double of_left(const Layer& layer) { return layer.bound.left; }
double of_printed(const Layer& layer) { return layer.bound.printed(); }
double of_provable(const Layer& layer) { return layer.bound.provable(); }
double of_norm(const Layer& layer) { return layer.bound.frobenius_norm; }
double of_share(const Layer& layer) { return layer.norm_share(); }
double of_slack(const Layer& layer) { return layer.bound.printed() / layer.bound.left; }

const auto kEvery = [](const Layer&) { return true; };
const auto kIsUniform = [](const Layer& layer) { return layer.relative_entropy() > kNearlyUniform; };

bool is_collapsed(const Protocol& protocol, const Layer& layer) {
  return layer.relative_entropy() < protocol.collapsed;
}

template <class Reading>
Spread over_collapsed(const Protocol& protocol, const Measured& layers, const Reading& reading) {
  return over_layers(
      layers, [&](const Layer& layer) { return is_collapsed(protocol, layer); }, reading);
}

report::Figure sides_figure(const Protocol& protocol, const Measured& layers) {
  report::SeriesChart chart{
      .x = {"scale of W_Q and W_K", report::Scale::kLog},
      .y = {"slope of the layer, and its bounds", report::Scale::kLog},
      .series = {against_scale(protocol, layers, "left side ‖DA‖", report::palette_colour(4), of_left),
                 against_scale(protocol, layers, "right side as printed", report::palette_colour(0), of_printed),
                 against_scale(protocol, layers, "right side, provable", report::palette_colour(2), of_provable),
                 against_scale(protocol, layers, "‖P‖_F alone", report::palette_colour(1), of_norm)},
      .references = {{fmt::format("√N = {:.2f}", std::sqrt(static_cast<double>(protocol.sizes.front().tokens))),
                      std::sqrt(static_cast<double>(protocol.sizes.front().tokens))}}};
  const auto ends = [](const report::Series& line) {
    return fmt::format("{} to {}", significant(line.y.front(), 3), significant(line.y.back(), 3));
  };
  return chart_figure(
      "sides", "Both sides of (9)",
      fmt::format("From the smallest scale to the largest the left side goes from {} (its highest median "
                  "on the way: {}), the printed right side from {}, ‖P‖_F from {}.",
                  ends(chart.series[0]), significant(std::ranges::max(chart.series[0].y), 3), ends(chart.series[1]),
                  ends(chart.series[3])),
      "Left side and right sides of equation (9) and the Frobenius norm against the scale of the "
      "weights.",
      chart);
}

report::Figure entropy_figure(const Protocol& protocol, const Measured& layers) {
  const double log_tokens = std::log(static_cast<double>(protocol.sizes.front().tokens));
  const report::SeriesChart chart{
      .x = {"scale of W_Q and W_K", report::Scale::kLog},
      .y = {"attention entropy H (nats)"},
      .series = {against_scale(protocol, layers, "entropy", colour_of("softmax"), of_entropy)},
      .references = {
          {fmt::format("log N = {:.2f}", log_tokens), log_tokens},
          {fmt::format("collapsed: below {:g} log N", protocol.collapsed), protocol.collapsed * log_tokens}}};
  return chart_figure("entropy", "From uniform to collapsed attention",
                      fmt::format("Median entropy falls from {} to {} nats.", significant(chart.series[0].y.front(), 3),
                                  significant(chart.series[0].y.back(), 3)),
                      "Attention entropy of random layers against the scale of their weights.", chart);
}

// One dot a layer against its relative entropy.
template <class Reading>
report::SeriesChart scatter(const Measured& layers, report::Axis y, std::vector<report::ReferenceLine> references,
                            const Reading& reading) {
  report::SeriesChart chart{.x = {"relative entropy H/log N"},
                            .y = std::move(y),
                            .series = {},
                            .references = std::move(references),
                            .points = true};
  for (const Layer& layer : layers) {
    const std::string name = fmt::format("N = {}, width {}", layer.size.tokens, layer.size.width);
    if (chart.series.empty() || chart.series.back().name != name) {
      chart.series.push_back({.name = name, .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""});
    }
    chart.series.back().x.push_back(layer.relative_entropy());
    chart.series.back().y.push_back(reading(layer));
  }
  return chart;
}

report::Figure share_figure(const Protocol& protocol, const Measured& layers) {
  const Spread collapsed = over_collapsed(protocol, layers, of_share),
               uniform = over_layers(layers, kIsUniform, of_share);
  return chart_figure(
      "share", "How much of the bound ‖P‖_F is",
      fmt::format("One dot a layer. Nearly uniform attention: {} of the right side in the median; collapsed: {}.",
                  significant(uniform.median, 2), significant(collapsed.median, 2)),
      "Share of the Frobenius norm in the printed right side against relative entropy.",
      scatter(layers, {"‖P‖_F over the right side of (9)", report::Scale::kLog},
              {{fmt::format("{:g} %", 100.0 * kSmallShare), kSmallShare}}, of_share));
}

report::Figure slack_figure(const Protocol& protocol, const Measured& layers) {
  const Spread collapsed = over_collapsed(protocol, layers, of_slack),
               uniform = over_layers(layers, kIsUniform, of_slack);
  return chart_figure("slack", "How far the bound is above what it bounds",
                      fmt::format("One dot a layer. Nearly uniform attention: {} times in the median; collapsed: {}.",
                                  significant(uniform.median, 3), significant(collapsed.median, 3)),
                      "Right side over left side of equation (9) against relative entropy.",
                      scatter(layers, {"right side over left side", report::Scale::kLog}, {{"tight", 1.0}}, of_slack));
}

report::Claim bound_claim(const Measured& layers, std::string id, std::string statement, std::string source,
                          std::string criterion, double (*right)(const Layer&)) {
  const auto ratio = [right](const Layer& layer) { return right(layer) / layer.bound.left; };
  const long long held =
      std::ranges::count_if(layers, [&](const Layer& layer) { return ratio(layer) >= 1.0 - kRounding; });
  const Spread ratios = over_layers(layers, kEvery, ratio);
  const auto all = static_cast<long long>(layers.size());
  return claim_in_words(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                        fmt::format("{} of {} layers; right over left {} to {}", held, all, significant(ratios.low, 3),
                                    significant(ratios.high, 3)),
                        ratios, judged(all, 1, held == all), "sides");
}

// A reading of every collapsed layer beside the same layer at the smallest scale.
template <class Reading>
Spread against_first(const Protocol& protocol, const Measured& layers, const Reading& reading) {
  std::vector<double> values;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!is_collapsed(protocol, layers[i])) continue;
    values.push_back(reading(layers[i - i % protocol.scales.size()].bound, layers[i].bound));
  }
  return spread_of(std::move(values));
}

std::string shape_in_words(const Size& size) { return fmt::format("{} × {}", size.tokens, size.width); }

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  std::vector<std::string> shapes;
  for (const Size& size : p.sizes) shapes.push_back(shape_in_words(size));
  return {{"tokens × width", listed(shapes)},
          {"scales", listed(p.scales)},
          counted_quantity("layers a scale and size", p.seeds, "layers of each scale and size"),
          {"figures against the scale", shapes.front()},
          {"scores", "X W_Q (X W_K)ᵀ, not divided by √width"},
          {"norms", "‖X‖ = max‖x_i‖₂, ‖M‖_(2,∞) = (Σ_i max_j M_ij²)^½, ‖f‖_{a,b} = max ‖f(H)‖_b over ‖H‖_a = 1"},
          {"seed of the first", fmt::format("{}", context.seed)}};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.seeds = preset == Preset::kPaper ? 100 : 10;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  const auto scales = static_cast<std::int64_t>(protocol.scales.size());
  const std::int64_t each = scales * protocol.seeds, total = each * static_cast<std::int64_t>(protocol.sizes.size());
  Progress progress = context.progress(static_cast<std::uint64_t>(total), "layers");
  Measured layers(static_cast<std::size_t>(total));
  parallel_for(total, context.threads, [&](std::int64_t i) {
    const Size& size = protocol.sizes[static_cast<std::size_t>(i / each)];
    const double scale = protocol.scales[static_cast<std::size_t>(i % scales)];
    const auto seed = context.seed + static_cast<std::uint64_t>(i / scales % protocol.seeds);
    layers[static_cast<std::size_t>(i)] = {scale, size, random_layer_bound(size, scale, RandomStream(seed, 0))};
  });
  progress.finish();
  return layers;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& layers) {
  const Spread rise =
      against_first(protocol, layers, [](const metrics::LipschitzBound& first, const metrics::LipschitzBound& last) {
        return (last.frobenius_norm - first.frobenius_norm) / (last.printed() - first.printed());
      });
  const Spread share = over_collapsed(protocol, layers, of_share);
  const auto small = std::ranges::count_if(
      layers, [&](const Layer& layer) { return is_collapsed(protocol, layer) && layer.norm_share() < kSmallShare; });
  const Spread steeper = against_first(
      protocol, layers,
      [](const metrics::LipschitzBound& first, const metrics::LipschitzBound& last) { return last.left / first.left; });
  const report::Series left = against_scale(protocol, layers, "", "", of_left);
  const auto top = static_cast<std::size_t>(std::ranges::max_element(left.y) - left.y.begin());
  const std::string below = fmt::format("layers with H < {:g} log N", protocol.collapsed);
  return {
      bound_claim(layers, "B.bound9/printed", "A layer is nowhere steeper than the right side of (9).", "Equation (9)",
                  "right side ≥ left side on every layer; the right side is computed from below, so that it holds "
                  "where this does",
                  of_printed),
      bound_claim(layers, "B.bound9/provable",
                  "A layer is nowhere steeper than ‖P‖₂ + max‖x‖ σ_max(DZ)/√2, which can be computed exactly.", "Ours",
                  "right side ≥ left side on every layer", of_provable),
      claim_in_words(
          "B.bound9/norm-drives", "The bound grows with collapse because ‖P‖_F does.",
          "Section 5, as equation (9) and proposition 5.2 are read together",
          fmt::format("‖P‖_F makes more than half of the rise of the right side from the smallest scale, {}", below),
          in_words(rise, "collapsed layers", 2, "of the rise"), rise, judged(rise.runs, 1, rise.low > 0.5), "sides"),
      claim_of_count("B.bound9/share",
                     fmt::format("When attention has collapsed, ‖P‖_F is under {:g} % of the right side of (9).",
                                 100.0 * kSmallShare),
                     "Ours", fmt::format("‖P‖_F over the right side < {} in nine of ten {}", kSmallShare, below), small,
                     share.runs, "collapsed layers",
                     static_cast<double>(small) >= 0.9 * static_cast<double>(share.runs), "share"),
      claim_in_words("B.bound9/steeper", "A collapsed layer is steeper than the same layer with uniform attention.",
                     "Section 5",
                     fmt::format("left side over that at the smallest scale > 1, every one of the {}", below),
                     in_words(steeper, "collapsed layers", 3, "times"), steeper,
                     judged(steeper.runs, 1, steeper.low > 1.0), "sides"),
      claim_in_words("B.bound9/ever-steeper", "The further attention collapses, the steeper the layer.", "Section 5",
                     fmt::format("the median left side over layers of {} tokens is highest at the largest scale",
                                 protocol.sizes.front().tokens),
                     fmt::format("median {} at scale {:g}, {} at scale {:g}", significant(left.y[top], 3), left.x[top],
                                 significant(left.y.back(), 3), left.x.back()),
                     spread_of(left.y), judged(static_cast<long long>(layers.size()), 1, top + 1 == left.y.size()),
                     "sides"),
  };
}

report::Section describe(const Protocol& protocol, const Measured& layers) {
  const Spread share = over_collapsed(protocol, layers, of_share), slack = over_collapsed(protocol, layers, of_slack);
  const Spread left = over_layers(layers, kEvery, of_left);
  report::Section section;
  section.method = fmt::format(
      "{} random softmax layers with values V = X: tokens N(0, 1), W_Q and W_K scale·N(0, 1/width) with the scale from "
      "{:g} to {:g}, so that attention goes from uniform to collapsed; {} seeds of each size. Left side: largest "
      "singular value of the Jacobian. Printed right side: its operator norm by alternation from ten starts, a value "
      "from below. Provable right side: exact.",
      layers.size(), protocol.scales.front(), protocol.scales.back(), protocol.seeds);
  section.findings = fmt::format(
      "The left side lies between {} and {}. In the {} layers whose attention has collapsed, ‖P‖_F is {} of the right "
      "side in the median ({} at most); the rest is the term of ‖DZ‖. The right side is {} times the left side there, "
      "in the median.",
      significant(left.low, 3), significant(left.high, 3), share.runs, significant(share.median, 2),
      significant(share.high, 2), significant(slack.median, 3));
  section.claims = judge(protocol, layers);
  section.figures = {sides_figure(protocol, layers), entropy_figure(protocol, layers), share_figure(protocol, layers),
                     slack_figure(protocol, layers)};
  section.differences =
      "The paper states (9) without computing it; layers, scales and the provable right side are ours.";
  return section;
}

}  // namespace polariscope::experiments::lipschitz::bound9

namespace polariscope::experiments {

Experiment b_bound9() {
  return {.id = "B.bound9",
          .title = "What bounds the steepness of a layer",
          .source = "Lipschitz paper, equation (9)",
          .question = "When attention collapses, what makes the bound of equation (9) grow, and does the layer follow?",
          .protocol = lipschitz::bound9::quantities,
          .run = lipschitz::bound9::run};
}

}  // namespace polariscope::experiments
