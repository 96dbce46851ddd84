// Figure 2 of the Lipschitz paper, and its power law (8): what the variance of scores does to entropy.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/controlled_variance.h"
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

namespace polariscope::experiments {
namespace {

constexpr std::array<double, 4> kScales{1.0, 2.0, 4.0, 8.0};
constexpr std::array<double, 8> kSmallScales{0.03, 0.04, 0.06, 0.08, 0.11, 0.15, 0.21, 0.3};
constexpr std::array<std::int64_t, 6> kWidths{2, 4, 12, 48, 192, 768};
constexpr std::size_t kShownWidth = 2;  // of kWidths: the paper's
constexpr double kFlat = 0.05;          // of log N: what counts as no change
constexpr double kSlopeError = 0.05;    // of a small-variance exponent

// [attention][seed][scale]
using Sweep = std::vector<std::vector<std::vector<ControlledRows>>>;

struct Runs {
  ControlledScores scores;
  long long seeds;
  Sweep paper;                                     // keys grow, sigma 1 to 8
  Sweep small_keys;                                // keys grow from nearly nothing
  Sweep small_both;                                // query and key grow together
  std::vector<std::vector<double>> relu_by_width;  // [width][seed], entropy in units of log N
  double log_keys() const { return std::log(static_cast<double>(scores.keys)); }
};

template <std::size_t kCount>
Sweep swept(const Context& context, const Runs& runs, const std::array<double, kCount>& scales, bool both) {
  Sweep sweep;
  for (const ControlledAttention& attention : controlled_attentions()) {
    auto& of_attention = sweep.emplace_back();
    for (long long seed = 0; seed < runs.seeds; ++seed) {
      auto& of_seed = of_attention.emplace_back();
      for (const double scale : scales) {
        ControlledScores scores = runs.scores;
        scores.key_scale = scale;
        if (both) scores.query_norm = scale;
        of_seed.push_back(controlled_rows(attention, scores, context.seed + static_cast<std::uint64_t>(seed)));
      }
    }
  }
  return sweep;
}

Runs run_all(const Context& context) {
  Runs runs{.scores = {},
            .seeds = context.paper() ? 20 : 5,
            .paper = {},
            .small_keys = {},
            .small_both = {},
            .relu_by_width = {}};
  Progress progress = context.progress(4, "sweeps");
  runs.paper = swept(context, runs, kScales, false);
  progress.update(1);
  runs.small_keys = swept(context, runs, kSmallScales, false);
  progress.update(2);
  runs.small_both = swept(context, runs, kSmallScales, true);
  progress.update(3);
  for (const std::int64_t width : kWidths) {
    auto& entropies = runs.relu_by_width.emplace_back();
    for (long long seed = 0; seed < runs.seeds; ++seed) {
      ControlledScores scores = runs.scores;
      scores.width = width;
      scores.queries = context.paper() ? scores.queries : 60;
      entropies.push_back(
          controlled_rows(controlled_attentions()[kReluKernel], scores, context.seed + static_cast<std::uint64_t>(seed))
              .entropy.value());
    }
  }
  progress.finish();
  return runs;
}

double entropy_at(const std::vector<ControlledRows>& sweep, std::size_t scale) { return sweep[scale].entropy.value(); }

template <class Reading>
Spread over_seeds(const std::vector<std::vector<ControlledRows>>& seeds, const Reading& reading) {
  std::vector<double> values;
  for (const auto& sweep : seeds) values.push_back(reading(sweep));
  return spread_of(std::move(values));
}

Spread exponents(const Runs& runs, const Sweep& sweep, std::size_t kind) {
  return over_seeds(sweep[kind], [&](const auto& seed) { return power_law_of(seed, runs.scores.keys).exponent; });
}

// Largest entropy of a sweep less its smallest, of log N.
Spread movement(const Runs& runs, std::size_t kind) {
  return over_seeds(runs.paper[kind], [&](const std::vector<ControlledRows>& seed) {
    const auto [low, high] = std::ranges::minmax(seed, {}, [](const ControlledRows& r) { return r.entropy.value(); });
    return (high.entropy.value() - low.entropy.value()) / runs.log_keys();
  });
}

// Median over seeds of the mean; the band is one standard deviation of the rows to either side.
report::Series entropy_line(const Runs& runs, std::size_t kind) {
  const ControlledAttention& attention = controlled_attentions()[kind];
  report::Series line{
      .name = std::string(attention.name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = attention.colour};
  for (std::size_t s = 0; s < kScales.size(); ++s) {
    const Spread mean = over_seeds(runs.paper[kind], [&](const auto& seed) { return entropy_at(seed, s); });
    const Spread deviation =
        over_seeds(runs.paper[kind], [&](const auto& seed) { return seed[s].entropy.standard_deviation(); });
    line.x.push_back(kScales[s]);
    line.y.push_back(mean.median);
    line.low.push_back(std::max(mean.median - deviation.median, 0.0));
    line.high.push_back(std::min(mean.median + deviation.median, runs.log_keys()));
  }
  return line;
}

report::Figure entropy_figure(const Runs& runs) {
  report::SeriesChart chart{.x = {"standard deviation of the scores σ", report::Scale::kLog},
                            .y = {"attention entropy H (nats)"},
                            .series = {},
                            .references = {{fmt::format("log N = {:.2f}", runs.log_keys()), runs.log_keys()}}};
  std::string ends;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) {
    chart.series.push_back(entropy_line(runs, kind));
    const report::Series& line = chart.series.back();
    ends += fmt::format("{}{} from {} to {}", ends.empty() ? "" : ", ", line.name, significant(line.y.front(), 3),
                        significant(line.y.back(), 3));
  }
  return chart_figure("entropy", "Entropy against the variance of the scores",
                      fmt::format("From σ = {:g} to {:g}: {} nats. Bands: one standard deviation of the rows.",
                                  kScales.front(), kScales.back(), ends),
                      "Mean attention entropy of four attentions against the standard deviation of the scores.", chart);
}

// How the weights of one row lie over decades, one line a scale.
Multiple weights_panel(const Runs& runs, std::size_t kind) {
  constexpr double kLowest = -12.0;  // decades; the smallest drawn
  constexpr int kBins = 24;
  report::SeriesChart chart{.x = {"weight p", report::Scale::kLog}, .y = {"keys"}, .series = {}, .references = {}};
  const std::vector<std::string> colours = report::sequential_colours(kScales.size());
  for (std::size_t s = 0; s < kScales.size(); ++s) {
    report::Series line{
        .name = fmt::format("σ = {:g}", kScales[s]), .x = {}, .y = {}, .low = {}, .high = {}, .colour = colours[s]};
    std::array<double, kBins> counts{};
    for (const double p : runs.paper[kind].front()[s].first_row) {
      const double place = kBins * (1.0 - std::log10(p) / kLowest);
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

report::Figure rows_figure(const Runs& runs) {
  std::vector<Multiple> panels;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) panels.push_back(weights_panel(runs, kind));
  const auto largest = [&](std::size_t kind) {
    return significant(std::ranges::max(runs.paper[kind].front().back().first_row), 2);
  };
  return multiples_figure(
      {.id = "rows",
       .title = "The weights of one row",
       .caption =
           fmt::format("How many of the {} keys get which weight; uniform is {:g}. At σ = {:g} the largest "
                       "weight is {} with softmax, {} with QK-LayerNorm, {} with the ReLU kernel, {} with ELU+1. "
                       "Weights under 1e-12 are not drawn.",
                       runs.scores.keys, 1.0 / static_cast<double>(runs.scores.keys), kScales.back(), largest(kSoftmax),
                       largest(kQkLayerNorm), largest(kReluKernel), largest(kElu1Kernel)),
       .alternative = "Histograms of the attention weights of one row of four attentions, one line a σ.",
       .columns = 2,
       .share_x = false},
      panels);
}

// H̃ against Var over a sweep, with the median exponent in the name.
Multiple law_panel(const Runs& runs, const Sweep& sweep, std::string title) {
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
          over_seeds(sweep[kind], [&](const auto& seed) { return normalised_entropy_of(seed[s], runs.scores.keys); });
      line.y.push_back(normalised.median);
      line.low.push_back(normalised.low);
      line.high.push_back(normalised.high);
    }
    chart.series.push_back(std::move(line));
  }
  return {std::move(title), report::series_chart(chart), report::table_of(chart)};
}

std::string exponents_in_words(const Runs& runs, const Sweep& sweep) {
  std::vector<std::string> words;
  for (std::size_t kind = 0; kind < controlled_attentions().size(); ++kind) {
    const double beta = std::round(100.0 * exponents(runs, sweep, kind).median) / 100.0;
    words.push_back(fmt::format("{} {:g}", controlled_attentions()[kind].name, beta + 0.0));  // never -0
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

report::Figure law_figure(const Runs& runs) {
  const std::array panels{law_panel(runs, runs.paper, "σ from 1 to 8"), law_panel(runs, runs.small_keys, "small keys"),
                          law_panel(runs, runs.small_both, "small query and key")};
  return multiples_figure(
      {.id = "power-law",
       .title = "The power law H̃ ∝ Var^β",
       .caption = fmt::format("Slopes β. σ from 1 to 8: {}. Small keys: {}. Small query and key: {}.",
                              exponents_in_words(runs, runs.paper), exponents_in_words(runs, runs.small_keys),
                              exponents_in_words(runs, runs.small_both)),
       .alternative = "Normalised entropy against the variance of the scores on logarithmic axes, three sweeps.",
       .columns = 3,
       .share_x = false},
      panels);
}

report::Figure width_figure(const Runs& runs) {
  report::SeriesChart chart{.x = {"width of query and key", report::Scale::kLog},
                            .y = {"entropy of the ReLU kernel H (nats)"},
                            .series = {{.name = "ReLU kernel",
                                        .x = {},
                                        .y = {},
                                        .low = {},
                                        .high = {},
                                        .colour = controlled_attentions()[kReluKernel].colour}},
                            .references = {{"log N", runs.log_keys()}}};
  report::Series& line = chart.series.front();
  for (std::size_t w = 0; w < kWidths.size(); ++w) {
    const Spread entropy = spread_of(runs.relu_by_width[w]);
    line.x.push_back(static_cast<double>(kWidths[w]));
    line.y.push_back(entropy.median);
    line.low.push_back(entropy.low);
    line.high.push_back(entropy.high);
  }
  return chart_figure(
      "relu-width", "What sets the entropy of the ReLU kernel",
      fmt::format("relu(q)·relu(k) scales with σ, and the sum divides the scale out: only the width is "
                  "left. Width {} gives {} nats, {} gives {}.",
                  kWidths.front(), significant(line.y.front(), 3), kWidths.back(), significant(line.y.back(), 3)),
      "Entropy of the ReLU kernel against the width of query and key.", chart);
}

// A β of rounding alone is none.
std::string in_beta(Spread beta) {
  for (double* value : {&beta.median, &beta.low, &beta.high}) {
    if (std::abs(*value) < 1e-12) *value = 0.0;
  }
  return fmt::format("β = {}", in_words(beta, "seeds"));
}

std::string_view article(std::size_t kind) { return kind == kReluKernel || kind == kElu1Kernel ? "the " : ""; }

report::Claim flat_claim(const Runs& runs, std::size_t kind, const char* id, const char* source) {
  const Spread moved = movement(runs, kind);
  return claim_in_words(
      fmt::format("B.fig2/{}", id),
      fmt::format("The entropy of {}{} hardly answers to σ.", article(kind), controlled_attentions()[kind].name),
      source,
      fmt::format("largest less smallest mean entropy over σ = 1, 2, 4, 8 is under {} of log N, every seed", kFlat),
      "moves by " + in_words(moved, "seeds", 2, "log N"), moved,
      moved.high < kFlat ? report::Verdict::kHolds : report::Verdict::kFails, "entropy");
}

report::Claim slope_claim(const Runs& runs, const Sweep& sweep, std::size_t kind, double theory, std::string id,
                          std::string_view what) {
  const Spread slope = exponents(runs, sweep, kind);
  const bool holds = std::max(std::abs(slope.low - theory), std::abs(slope.high - theory)) <= kSlopeError;
  return claim_in_words(fmt::format("B.fig2/{}", id),
                        fmt::format("At small variance H̃ ∝ Var^β with β = {:g} for {}{}, when {}.", theory,
                                    article(kind), controlled_attentions()[kind].name, what),
                        "Equation (8); small-variance expansion",
                        fmt::format("|β − ({:g})| ≤ {} over scales {:g} to {:g}, every seed", theory, kSlopeError,
                                    kSmallScales.front(), kSmallScales.back()),
                        in_beta(slope), slope, holds ? report::Verdict::kHolds : report::Verdict::kFails, "power-law");
}

// On every seed |β| of softmax above that of ELU+1 above that of ReLU.
report::Claim order_claim(const Runs& runs) {
  const Spread softmax = exponents(runs, runs.paper, kSoftmax), elu1 = exponents(runs, runs.paper, kElu1Kernel),
               relu = exponents(runs, runs.paper, kReluKernel);
  const bool holds = softmax.high < elu1.low && elu1.high < relu.low;
  return claim_in_words("B.fig2/order",
                        "Entropy answers most to variance under softmax, less under ELU+1, least under ReLU.",
                        "Equation (8); figure 2",
                        "β over σ = 1 to 8: softmax < ELU+1 < ReLU, every seed of one below "
                        "every seed of the next",
                        fmt::format("β = {:.2f}, {:.2f}, {:.2f} (medians of {} seeds)", softmax.median, elu1.median,
                                    relu.median + 0.0, softmax.runs),
                        softmax, holds ? report::Verdict::kHolds : report::Verdict::kFails, "power-law");
}

std::vector<report::Claim> claims_of(const Runs& runs) {
  const Spread falls = over_seeds(runs.paper[kSoftmax], [](const std::vector<ControlledRows>& seed) {
    double smallest = std::numeric_limits<double>::infinity();  // of the falls from one σ to the next
    for (std::size_t s = 1; s < seed.size(); ++s)
      smallest = std::min(smallest, entropy_at(seed, s - 1) - entropy_at(seed, s));
    return smallest;
  });
  const Spread fall = over_seeds(runs.paper[kSoftmax], [](const auto& seed) {
    return entropy_at(seed, 0) - entropy_at(seed, kScales.size() - 1);
  });
  const Spread relu = over_seeds(runs.paper[kReluKernel], [](const auto& seed) {
    return std::ranges::max(seed, {}, [](const ControlledRows& r) { return r.entropy.value(); }).entropy.value();
  });
  const Spread at_one = over_seeds(runs.paper[kReluKernel], [](const auto& seed) { return entropy_at(seed, 0); });
  return {
      claim_in_words("B.fig2/softmax", "Softmax loses entropy as the variance of its scores grows.", "Figure 2",
                     "the mean entropy falls from each σ to the next, every seed; measured: the fall from σ = 1 to 8",
                     in_words(fall, "seeds", 3, "nats"), fall,
                     falls.low > 0.0 ? report::Verdict::kHolds : report::Verdict::kFails, "entropy"),
      flat_claim(runs, kReluKernel, "relu", "Figure 2"),
      flat_claim(runs, kElu1Kernel, "elu1", "Figure 2"),
      flat_claim(runs, kQkLayerNorm, "qk-layernorm", "ours"),
      claim_in_words(
          "B.fig2/relu-below", "The ReLU kernel's entropy is that of its width, and below log N.", "Figure 2; ours",
          fmt::format("mean entropy at width {} is under log N − 0.1 at every σ, every seed", kWidths[kShownWidth]),
          fmt::format("{}; log N is {:.3f}", in_words(at_one, "seeds", 4, "nats"), runs.log_keys()), at_one,
          relu.high < runs.log_keys() - 0.1 ? report::Verdict::kHolds : report::Verdict::kFails, "relu-width"),
      order_claim(runs),
      slope_claim(runs, runs.small_both, kSoftmax, -1.0, "small-softmax", "query and key grow together"),
      slope_claim(runs, runs.small_both, kElu1Kernel, -0.5, "small-elu1", "query and key grow together"),
      slope_claim(runs, runs.small_both, kReluKernel, 0.0, "small-relu", "query and key grow together"),
      slope_claim(runs, runs.small_keys, kElu1Kernel, -0.5, "small-elu1-keys", "the keys alone grow"),
  };
}

report::Section run(const Context& context) {
  const Runs runs = run_all(context);
  std::int64_t dead = 0;
  for (const auto& seed : runs.paper[kReluKernel]) dead += seed.front().dead;
  const Spread relu = over_seeds(runs.paper[kReluKernel], [](const auto& seed) { return entropy_at(seed, 0); });
  const Spread last =
      over_seeds(runs.paper[kSoftmax], [](const auto& seed) { return entropy_at(seed, kScales.size() - 1); });
  const Spread keys = exponents(runs, runs.small_keys, kElu1Kernel),
               both = exponents(runs, runs.small_both, kElu1Kernel);
  report::Section section;
  section.method = fmt::format(
      "Queries of norm 1 and N = {} keys N(0, σ²I) of width {}, so that each score is N(0, σ²) given its query; {} "
      "queries a seed, {} seeds. Weights in double precision. The power law is fitted over σ = 1 to 8 and, for the "
      "theory of small variances, over scales {:g} to {:g} of the keys alone and of query and key together.",
      runs.scores.keys, runs.scores.width, runs.scores.queries, runs.seeds, kSmallScales.front(), kSmallScales.back());
  section.findings = fmt::format(
      "At σ = {:g} softmax has {} left of log N = {:.2f}. The ReLU kernel has {} at every σ: its scale cancels, "
      "and "
      "width {} decides; {} of its {} rows had no weight at all and are left out. The exponent of ELU+1 at small "
      "variance depends on what grows: {} where query and key do, {} where the keys alone do.",
      kScales.back(), in_words(last, "seeds", 3, "nats"), runs.log_keys(), in_words(relu, "seeds", 4, "nats"),
      runs.scores.width, dead, runs.seeds * runs.scores.queries, significant(both.median, 3),
      significant(keys.median, 3));
  section.claims = claims_of(runs);
  section.figures = {entropy_figure(runs), rows_figure(runs), law_figure(runs), width_figure(runs)};
  section.configuration = {{"N", fmt::format("{}", runs.scores.keys)},
                           {"width", fmt::format("{}", runs.scores.width)},
                           {"queries", fmt::format("{}", runs.scores.queries)},
                           {"σ", fmt::format("{}", fmt::join(kScales, ", "))},
                           {"small scales", fmt::format("{}", fmt::join(kSmallScales, ", "))},
                           {"widths of the ReLU kernel", fmt::format("{}", fmt::join(kWidths, ", "))},
                           {"attentions",
                            "softmax(q·k); softmax(LN(q)·LN(k)), γ = 1, β = 0; relu(q)·relu(k)/Σ; "
                            "(elu(q)+1)·(elu(k)+1)/Σ; no division by √width"},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + runs.seeds - 1)}};
  section.differences = "The fits at small variance and the entropy against width are ours.";
  if (!context.paper()) section.differences += " 5 seeds where the paper preset takes 20, 60 queries a width for 300.";
  return section;
}

}  // namespace

Experiment b_fig2() {
  return {.id = "B.fig2",
          .title = "What the variance of scores does to entropy",
          .source = "Lipschitz paper, figure 2 and equation (8)",
          .question = "Does entropy fall when scores spread, and is that softmax's doing?",
          .run = run};
}

}  // namespace polariscope::experiments
