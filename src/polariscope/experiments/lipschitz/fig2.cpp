#include "polariscope/experiments/lipschitz/fig2.h"

#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace polariscope::experiments::lipschitz::fig2 {
namespace {

constexpr double kBelowUniform = 0.1;     // nats
constexpr double kSmallestDrawn = 1e-12;  // of weights

constexpr double kFlat = 0.05;        // of log N: what counts as no change
constexpr double kSlopeError = 0.05;  // of a small-variance exponent

Sweep swept(const Context& context, const Protocol& protocol, const std::vector<double>& scales, bool both) {
  Sweep sweep;
  for (const ControlledAttention& attention : controlled_attentions()) {
    auto& of_attention = sweep.emplace_back();
    for (long long seed = 0; seed < protocol.seeds; ++seed) {
      auto& of_seed = of_attention.emplace_back();
      for (const double scale : scales) {
        ControlledScores scores = protocol.scores;
        scores.key_scale = scale;
        if (both) scores.query_norm = scale;
        of_seed.push_back(controlled_rows(attention, scores, context.seed + static_cast<std::uint64_t>(seed)));
      }
    }
  }
  return sweep;
}

double entropy_at(const std::vector<ControlledRows>& sweep, std::size_t scale) { return sweep[scale].entropy.value(); }

template <class Reading>
Spread over_seeds(const std::vector<std::vector<ControlledRows>>& seeds, const Reading& reading) {
  std::vector<double> values;
  for (const auto& sweep : seeds) values.push_back(reading(sweep));
  return spread_of(std::move(values));
}

Spread exponents(const Protocol& p, const Sweep& sweep, std::size_t kind) {
  return over_seeds(sweep[kind], [&](const auto& seed) { return power_law_of(seed, p.scores.keys).exponent; });
}

// Largest entropy of a sweep less its smallest, of log N.
Spread movement(const Protocol& p, const Measured& m, std::size_t kind) {
  return over_seeds(m.paper[kind], [&](const std::vector<ControlledRows>& seed) {
    const auto [low, high] = std::ranges::minmax(seed, {}, [](const ControlledRows& r) { return r.entropy.value(); });
    return (high.entropy.value() - low.entropy.value()) / p.log_keys();
  });
}

// Median over seeds of the mean; the band is one standard deviation of the rows to either side.
report::Series entropy_line(const Protocol& p, const Measured& m, std::size_t kind) {
  const ControlledAttention& attention = controlled_attentions()[kind];
  report::Series line{
      .name = std::string(attention.name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = attention.colour};
  for (std::size_t s = 0; s < p.scales.size(); ++s) {
    const Spread mean = over_seeds(m.paper[kind], [&](const auto& seed) { return entropy_at(seed, s); });
    const Spread deviation =
        over_seeds(m.paper[kind], [&](const auto& seed) { return seed[s].entropy.standard_deviation(); });
    line.x.push_back(p.scales[s]);
    line.y.push_back(mean.median);
    line.low.push_back(std::max(mean.median - deviation.median, 0.0));
    line.high.push_back(std::min(mean.median + deviation.median, p.log_keys()));
  }
  return line;
}

report::Figure entropy_figure(const Protocol& p, const Measured& m) {
  report::SeriesChart chart{.x = {"standard deviation of the scores σ", report::Scale::kLog},
                            .y = {"attention entropy H (nats)"},
                            .series = {},
                            .references = {{fmt::format("log N = {:.2f}", p.log_keys()), p.log_keys()}}};
  std::string ends;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) {
    chart.series.push_back(entropy_line(p, m, kind));
    const report::Series& line = chart.series.back();
    ends += fmt::format("{}{} from {} to {}", ends.empty() ? "" : ", ", line.name, significant(line.y.front(), 3),
                        significant(line.y.back(), 3));
  }
  return chart_figure("entropy", "Entropy against the variance of the scores",
                      fmt::format("From σ = {:g} to {:g}: {} nats. Bands: one standard deviation of the rows.",
                                  p.scales.front(), p.scales.back(), ends),
                      "Mean attention entropy of four attentions against the standard deviation of the scores.", chart);
}

// How the weights of one row lie over decades, one line a scale.
Multiple weights_panel(const Protocol& p, const Measured& m, std::size_t kind) {
  constexpr double kLowest = -12.0;  // decades; the smallest drawn
  constexpr int kBins = 24;
  report::SeriesChart chart{.x = {"weight p", report::Scale::kLog}, .y = {"keys"}, .series = {}, .references = {}};
  const std::vector<std::string> colours = report::sequential_colours(p.scales.size());
  for (std::size_t s = 0; s < p.scales.size(); ++s) {
    report::Series line{
        .name = fmt::format("σ = {:g}", p.scales[s]), .x = {}, .y = {}, .low = {}, .high = {}, .colour = colours[s]};
    std::array<double, kBins> counts{};
    for (const double weight : m.paper[kind].front()[s].first_row) {
      const double place = kBins * (1.0 - std::log10(weight) / kLowest);
      if (place >= 0.0) ++counts[static_cast<std::size_t>(std::min(place, kBins - 1.0))];
    }
    for (int bin = 0; bin < kBins; ++bin) {
      line.x.push_back(std::pow(10.0, kLowest * (1.0 - (bin + 0.5) / kBins)));
      line.y.push_back(counts[static_cast<std::size_t>(bin)]);
    }
    chart.series.push_back(std::move(line));
  }
  return {std::string(controlled_attentions()[kind].name), report::series_chart(chart), report::table_of(chart)};
}

report::Figure rows_figure(const Protocol& p, const Measured& m) {
  std::vector<Multiple> panels;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) panels.push_back(weights_panel(p, m, kind));
  const auto largest = [&](std::size_t kind) {
    return significant(std::ranges::max(m.paper[kind].front().back().first_row), 2);
  };
  return multiples_figure(
      {.id = "rows",
       .title = "The weights of one row",
       .caption =
           fmt::format("How many of the {} keys get which weight; uniform is {:g}. At σ = {:g} the largest "
                       "weight is {} with softmax, {} with QK-LayerNorm, {} with the ReLU kernel, {} with ELU+1. "
                       "Weights under {} are not drawn.",
                       p.scores.keys, 1.0 / static_cast<double>(p.scores.keys), p.scales.back(), largest(kSoftmax),
                       largest(kQkLayerNorm), largest(kReluKernel), largest(kElu1Kernel), plain(kSmallestDrawn)),
       .alternative = "Histograms of the attention weights of one row of four attentions, one line a σ.",
       .columns = 2,
       .share_x = false},
      panels);
}

// H̃ against Var over a sweep, with the median exponent in the name.
Multiple law_panel(const Protocol& p, const Sweep& sweep, std::string title) {
  report::SeriesChart chart{.x = {"variance of the scores Var", report::Scale::kLog},
                            .y = {"H̃ = H/(log N − H)", report::Scale::kLog},
                            .series = {},
                            .references = {}};
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) {
    const ControlledAttention& attention = controlled_attentions()[kind];
    report::Series line{
        .name = std::string(attention.name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = attention.colour};
    for (std::size_t s = 0; s < sweep[kind].front().size(); ++s) {
      line.x.push_back(over_seeds(sweep[kind], [&](const auto& seed) { return seed[s].score_variance; }).median);
      const Spread normalised =
          over_seeds(sweep[kind], [&](const auto& seed) { return normalised_entropy_of(seed[s], p.scores.keys); });
      line.y.push_back(normalised.median);
      line.low.push_back(normalised.low);
      line.high.push_back(normalised.high);
    }
    chart.series.push_back(std::move(line));
  }
  return {std::move(title), report::series_chart(chart), report::table_of(chart)};
}

std::string exponents_in_words(const Protocol& p, const Sweep& sweep) {
  std::vector<std::string> words;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) {
    const double beta = std::round(100.0 * exponents(p, sweep, kind).median) / 100.0;
    words.push_back(fmt::format("{} {:g}", controlled_attentions()[kind].name, beta + 0.0));  // never -0
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

report::Figure law_figure(const Protocol& p, const Measured& m) {
  const std::array panels{law_panel(p, m.paper, fmt::format("σ from {:g} to {:g}", p.scales.front(), p.scales.back())),
                          law_panel(p, m.small_keys, "small keys"), law_panel(p, m.small_both, "small query and key")};
  return multiples_figure(
      {.id = "power-law",
       .title = "The power law H̃ ∝ Var^β",
       .caption = fmt::format("Slopes β. σ from {:g} to {:g}: {}. Small keys: {}. Small query and key: {}.",
                              p.scales.front(), p.scales.back(), exponents_in_words(p, m.paper),
                              exponents_in_words(p, m.small_keys), exponents_in_words(p, m.small_both)),
       .alternative = "Normalised entropy against the variance of the scores on logarithmic axes, three sweeps.",
       .columns = 3,
       .share_x = false},
      panels);
}

report::Figure width_figure(const Protocol& p, const Measured& m) {
  report::SeriesChart chart{.x = {"width of query and key", report::Scale::kLog},
                            .y = {"entropy of the ReLU kernel H (nats)"},
                            .series = {{.name = "ReLU kernel",
                                        .x = {},
                                        .y = {},
                                        .low = {},
                                        .high = {},
                                        .colour = controlled_attentions()[kReluKernel].colour}},
                            .references = {{"log N", p.log_keys()}}};
  report::Series& line = chart.series.front();
  for (std::size_t w = 0; w < p.widths.size(); ++w) {
    const Spread entropy = spread_of(m.relu_by_width[w]);
    line.x.push_back(static_cast<double>(p.widths[w]));
    line.y.push_back(entropy.median);
    line.low.push_back(entropy.low);
    line.high.push_back(entropy.high);
  }
  return chart_figure(
      "relu-width", "What sets the entropy of the ReLU kernel",
      fmt::format("relu(q)·relu(k) scales with σ, and the sum divides the scale out: only the width is "
                  "left. Width {} gives {} nats, {} gives {}.",
                  p.widths.front(), significant(line.y.front(), 3), p.widths.back(), significant(line.y.back(), 3)),
      "Entropy of the ReLU kernel against the width of query and key.", chart);
}

// A β of rounding alone is none.
std::string in_beta(Spread beta) {
  for (double* value : {&beta.median, &beta.low, &beta.high}) {
    if (std::abs(*value) < kSmallestDrawn) *value = 0.0;
  }
  return fmt::format("β = {}", in_words(beta, "seeds"));
}

std::string_view article(std::size_t kind) { return kind == kReluKernel || kind == kElu1Kernel ? "the " : ""; }

report::Claim flat_claim(const Protocol& p, const Measured& m, std::size_t kind, const char* id, const char* source) {
  const Spread moved = movement(p, m, kind);
  return claim_in_words(
      fmt::format("B.fig2/{}", id),
      fmt::format("The entropy of {}{} hardly answers to σ.", article(kind), controlled_attentions()[kind].name),
      source,
      fmt::format("largest less smallest mean entropy over σ = {} is under {} of log N, every seed", listed(p.scales),
                  kFlat),
      "moves by " + in_words(moved, "seeds", 2, "log N"), moved, judged(moved.runs, 1, moved.high < kFlat), "entropy");
}

report::Claim slope_claim(const Protocol& p, const Sweep& sweep, std::size_t kind, double theory, std::string id,
                          std::string_view what) {
  const Spread slope = exponents(p, sweep, kind);
  const bool holds = std::max(std::abs(slope.low - theory), std::abs(slope.high - theory)) <= kSlopeError;
  return claim_in_words(fmt::format("B.fig2/{}", id),
                        fmt::format("At small variance H̃ ∝ Var^β with β = {:g} for {}{}, when {}.", theory,
                                    article(kind), controlled_attentions()[kind].name, what),
                        "Equation (8); small-variance expansion",
                        fmt::format("|β − ({:g})| ≤ {} over scales {:g} to {:g}, every seed", theory, kSlopeError,
                                    p.small_scales.front(), p.small_scales.back()),
                        in_beta(slope), slope, judged(slope.runs, 1, holds), "power-law");
}

// On every seed |β| of softmax above that of ELU+1 above that of ReLU.
report::Claim order_claim(const Protocol& p, const Measured& m) {
  const Spread softmax = exponents(p, m.paper, kSoftmax), elu1 = exponents(p, m.paper, kElu1Kernel),
               relu = exponents(p, m.paper, kReluKernel);
  const bool holds = softmax.high < elu1.low && elu1.high < relu.low;
  return claim_in_words(
      "B.fig2/order", "Entropy answers most to variance under softmax, less under ELU+1, least under ReLU.",
      "Equation (8); figure 2",
      fmt::format("β over σ = {:g} to {:g}: softmax < ELU+1 < ReLU, every seed of one below every seed "
                  "of the next",
                  p.scales.front(), p.scales.back()),
      fmt::format("β = {:.2f}, {:.2f}, {:.2f} (medians of {} seeds)", softmax.median, elu1.median, relu.median + 0.0,
                  softmax.runs),
      softmax, judged(softmax.runs, 1, holds), "power-law");
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"N", counted(p.scores.keys)},
          {"width", counted(p.scores.width)},
          {"queries", counted(p.scores.queries)},
          {"σ", listed(p.scales)},
          {"small scales", listed(p.small_scales)},
          {"widths of the ReLU kernel", listed(p.widths)},
          counted_quantity("queries a width", p.width_queries, "queries a width"),
          {"attentions",
           "softmax(q·k); softmax(LN(q)·LN(k)), γ = 1, β = 0; relu(q)·relu(k)/Σ; (elu(q)+1)·(elu(k)+1)/Σ; no division "
           "by √width"},
          seeds_quantity(context.seed, p.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  protocol.width_queries = paper ? protocol.scores.queries : 60;
  protocol.seeds = paper ? 20 : 5;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Progress progress = context.progress(4, "sweeps");
  Measured measured;
  measured.paper = swept(context, protocol, protocol.scales, false);
  progress.update(1);
  measured.small_keys = swept(context, protocol, protocol.small_scales, false);
  progress.update(2);
  measured.small_both = swept(context, protocol, protocol.small_scales, true);
  progress.update(3);
  for (const std::int64_t width : protocol.widths) {
    auto& entropies = measured.relu_by_width.emplace_back();
    for (long long seed = 0; seed < protocol.seeds; ++seed) {
      ControlledScores scores = protocol.scores;
      scores.width = width;
      scores.queries = protocol.width_queries;
      entropies.push_back(
          controlled_rows(controlled_attentions()[kReluKernel], scores, context.seed + static_cast<std::uint64_t>(seed))
              .entropy.value());
    }
  }
  progress.finish();
  return measured;
}

std::vector<report::Claim> judge(const Protocol& p, const Measured& m) {
  const Spread falls = over_seeds(m.paper[kSoftmax], [](const std::vector<ControlledRows>& seed) {
    double smallest = std::numeric_limits<double>::infinity();  // of the falls from one σ to the next
    for (std::size_t s = 1; s < seed.size(); ++s)
      smallest = std::min(smallest, entropy_at(seed, s - 1) - entropy_at(seed, s));
    return smallest;
  });
  const Spread fall = over_seeds(
      m.paper[kSoftmax], [](const auto& seed) { return seed.front().entropy.value() - seed.back().entropy.value(); });
  const Spread relu = over_seeds(m.paper[kReluKernel], [](const auto& seed) {
    return std::ranges::max(seed, {}, [](const ControlledRows& r) { return r.entropy.value(); }).entropy.value();
  });
  const Spread at_one = over_seeds(m.paper[kReluKernel], [](const auto& seed) { return entropy_at(seed, 0); });
  return {
      claim_in_words(
          "B.fig2/softmax", "Softmax loses entropy as the variance of its scores grows.", "Figure 2",
          fmt::format("the mean entropy falls from each σ to the next, every seed; measured: the fall from σ = {:g} "
                      "to {:g}",
                      p.scales.front(), p.scales.back()),
          in_words(fall, "seeds", 3, "nats"), fall, judged(falls.runs, 1, falls.low > 0.0), "entropy"),
      flat_claim(p, m, kReluKernel, "relu", "Figure 2"),
      flat_claim(p, m, kElu1Kernel, "elu1", "Figure 2"),
      flat_claim(p, m, kQkLayerNorm, "qk-layernorm", "ours"),
      claim_in_words("B.fig2/relu-below", "The ReLU kernel's entropy is that of its width, and below log N.",
                     "Figure 2; ours",
                     fmt::format("mean entropy at width {} is under log N − {} at every σ, every seed", p.scores.width,
                                 kBelowUniform),
                     fmt::format("{}; log N is {:.3f}", in_words(at_one, "seeds", 4, "nats"), p.log_keys()), at_one,
                     judged(relu.runs, 1, relu.high < p.log_keys() - kBelowUniform), "relu-width"),
      order_claim(p, m),
      slope_claim(p, m.small_both, kSoftmax, -1.0, "small-softmax", "query and key grow together"),
      slope_claim(p, m.small_both, kElu1Kernel, -0.5, "small-elu1", "query and key grow together"),
      slope_claim(p, m.small_both, kReluKernel, 0.0, "small-relu", "query and key grow together"),
      slope_claim(p, m.small_keys, kElu1Kernel, -0.5, "small-elu1-keys", "the keys alone grow"),
  };
}

report::Section describe(const Protocol& p, const Measured& m) {
  std::int64_t dead = 0;
  for (const auto& seed : m.paper[kReluKernel]) dead += seed.front().dead;
  const Spread relu = over_seeds(m.paper[kReluKernel], [](const auto& seed) { return seed.front().entropy.value(); });
  const Spread last = over_seeds(m.paper[kSoftmax], [](const auto& seed) { return seed.back().entropy.value(); });
  const Spread keys = exponents(p, m.small_keys, kElu1Kernel), both = exponents(p, m.small_both, kElu1Kernel);
  report::Section section;
  section.method = fmt::format(
      "Queries of norm {:g} and N = {} keys N(0, σ²I) of width {}, so that each score is N(0, σ²) given its query; {} "
      "queries a seed, {} seeds. Weights in double precision. The power law is fitted over σ = {:g} to {:g} and, for "
      "the theory of small variances, over scales {:g} to {:g} of the keys alone and of query and key together.",
      p.scores.query_norm, p.scores.keys, p.scores.width, p.scores.queries, p.seeds, p.scales.front(), p.scales.back(),
      p.small_scales.front(), p.small_scales.back());
  section.findings = fmt::format(
      "At σ = {:g} softmax has {} left of log N = {:.2f}. The ReLU kernel has {} at every σ: its scale cancels, and "
      "width {} decides; {} of its {} rows had no weight at all and are left out. The exponent of ELU+1 at small "
      "variance depends on what grows: {} where query and key do, {} where the keys alone do.",
      p.scales.back(), in_words(last, "seeds", 3, "nats"), p.log_keys(), in_words(relu, "seeds", 4, "nats"),
      p.scores.width, dead, p.seeds * p.scores.queries, significant(both.median, 3), significant(keys.median, 3));
  section.claims = judge(p, m);
  section.figures = {entropy_figure(p, m), rows_figure(p, m), law_figure(p, m), width_figure(p, m)};
  section.differences = "The fits at small variance and the entropy against width are ours.";
  return section;
}

}  // namespace polariscope::experiments::lipschitz::fig2

namespace polariscope::experiments {

Experiment b_fig2() {
  return {.id = "B.fig2",
          .title = "What the variance of scores does to entropy",
          .source = "Lipschitz paper, figure 2 and equation (8)",
          .question = "Does entropy fall when scores spread, and is that softmax's doing?",
          .protocol = lipschitz::fig2::quantities,
          .run = lipschitz::fig2::run};
}

}  // namespace polariscope::experiments
