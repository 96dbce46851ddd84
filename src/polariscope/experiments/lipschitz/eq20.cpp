// Equation (20) of the Lipschitz paper: the entropy of a normal density is not the entropy of attention.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/controlled_variance.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/readings.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace polariscope::experiments {
namespace {

constexpr std::array<double, 9> kScales{0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0};

// (20): of N(0, variance), in nats.
double differential_entropy(double variance) {
  return 0.5 * std::log(2.0 * std::numbers::pi * std::numbers::e * variance);
}

// Both entropies along σ, of one seed.
struct Pair {
  std::vector<double> differential, attention;  // [scales]
};

std::vector<double> changes(const std::vector<double>& values) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < values.size(); ++i) steps.push_back(values[i] - values[i - 1]);
  return steps;
}

// Of the steps from one σ to the next: the fraction in which both entropies move the same way.
double agreement(const Pair& pair) {
  const std::vector<double> ours = changes(pair.attention), theirs = changes(pair.differential);
  double together = 0.0;
  for (std::size_t i = 0; i < ours.size(); ++i) together += ours[i] * theirs[i] > 0.0 ? 1.0 : 0.0;
  return together / static_cast<double>(ours.size());
}

report::Series line_of(std::string name, std::string colour, const std::vector<Pair>& pairs,
                       std::vector<double> Pair::*entropy) {
  report::Series line{.name = std::move(name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = std::move(colour)};
  for (std::size_t s = 0; s < kScales.size(); ++s) {
    std::vector<double> values;
    for (const Pair& pair : pairs) values.push_back((pair.*entropy)[s]);
    const Spread spread = spread_of(std::move(values));
    line.x.push_back(kScales[s]);
    line.y.push_back(spread.median);
    line.low.push_back(spread.low);
    line.high.push_back(spread.high);
  }
  return line;
}

report::Section run(const Context& context) {
  const long long seeds = context.paper() ? 20 : 5;
  const ControlledScores sizes;
  const double log_keys = std::log(static_cast<double>(sizes.keys));
  Progress progress = context.progress(static_cast<std::uint64_t>(seeds), "seeds");
  std::vector<Pair> pairs;
  std::vector<double> agreements, risen, fallen;
  for (long long seed = 0; seed < seeds; ++seed) {
    Pair& pair = pairs.emplace_back();
    for (const double scale : kScales) {
      ControlledScores scores = sizes;
      scores.key_scale = scale;
      const ControlledRows rows =
          controlled_rows(controlled_attentions()[kSoftmax], scores, context.seed + static_cast<std::uint64_t>(seed));
      pair.differential.push_back(differential_entropy(rows.score_variance));
      pair.attention.push_back(rows.entropy.value());
    }
    agreements.push_back(agreement(pair));
    risen.push_back(pair.differential.back() - pair.differential.front());
    fallen.push_back(pair.attention.back() - pair.attention.front());
    progress.update(static_cast<std::uint64_t>(seed) + 1);
  }
  progress.finish();

  const Spread together = spread_of(agreements), up = spread_of(risen), down = spread_of(fallen);
  const report::SeriesChart chart{
      .x = {"standard deviation of the scores σ", report::Scale::kLog},
      .y = {"entropy (nats)"},
      .series = {line_of("equation (20), of the density of the scores", report::palette_colour(0), pairs,
                         &Pair::differential),
                 line_of("attention entropy H, of the softmax row", colour_of("softmax"), pairs, &Pair::attention)},
      .references = {{fmt::format("log N = {:.2f}", log_keys), log_keys}}};
  const bool falls = std::ranges::all_of(pairs, [](const Pair& pair) {
    return std::ranges::all_of(changes(pair.attention), [](double change) { return change < 0.0; });
  });
  const double below = std::exp(-0.5 * std::log(2.0 * std::numbers::pi * std::numbers::e));

  report::Section section;
  section.method = fmt::format(
      "Scores N(0, σ²) of {} queries over N = {} keys, σ from {:g} to {:g}, {} seeds. Beside each other: equation "
      "(20), "
      "½ log(2πe·Var) with the variance measured on the scores, and the entropy −Σ p log p of their softmax.",
      sizes.queries, sizes.keys, kScales.front(), kScales.back(), seeds);
  section.findings = fmt::format(
      "From σ = {:g} to {:g} equation (20) changes by {} and the entropy of attention by {}. They move the same "
      "way in {:.0f} % of the steps from one σ to the next. Equation (20) is negative below σ = {:.3f}, as no entropy "
      "of attention can be: it measures "
      "the density of the scores before the softmax, not the row after it.",
      kScales.front(), kScales.back(), in_words(up, "seeds", 3, "nats"), in_words(down, "seeds", 3, "nats"),
      100.0 * together.median, below);
  section.claims = {
      claim_in_words(
          "B.eq20/same-way", "The entropy of equation (20) stands for attention entropy: both fall as σ grows.",
          "Equation (20)", "from each σ to the next both entropies fall, every seed",
          fmt::format("(20) {}{} nats, attention {}{} nats (medians of {} seeds)", up.median > 0 ? "+" : "",
                      significant(up.median, 3), down.median > 0 ? "+" : "", significant(down.median, 3), up.runs),
          together, together.low == 1.0 && up.high < 0.0 ? report::Verdict::kHolds : report::Verdict::kFails,
          "entropies"),
      claim_in_words("B.eq20/attention", "Attention entropy falls as σ grows: the claim under which (20) stands.",
                     "Text at equation (20)",
                     "the mean entropy falls from each σ to the next, every seed; measured: its change from the first "
                     "to the last",
                     in_words(down, "seeds", 3, "nats"), down,
                     falls ? report::Verdict::kHolds : report::Verdict::kFails, "entropies")};
  section.figures = {chart_figure(
      "entropies", "Two entropies of the same scores",
      fmt::format(
          "From the smallest σ to the largest (20) changes by {} nats, the entropy of the same scores' softmax by {}.",
          significant(up.median, 3), significant(down.median, 3)),
      "Differential entropy of the scores and entropy of their softmax against σ.", chart)};
  section.configuration = {{"N", fmt::format("{}", sizes.keys)},
                           {"width", fmt::format("{}", sizes.width)},
                           {"queries", fmt::format("{}", sizes.queries)},
                           {"σ", fmt::format("{}", fmt::join(kScales, ", "))},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + seeds - 1)}};
  section.differences = "The paper prints (20) without numbers; the comparison is ours.";
  if (!context.paper()) section.differences += " 5 seeds where the paper preset takes 20.";
  return section;
}

}  // namespace

Experiment b_eq20() {
  return {.id = "B.eq20",
          .title = "A differential entropy is no attention entropy",
          .source = "Lipschitz paper, equation (20)",
          .question = "Does the entropy of equation (20) say anything about the entropy of attention?",
          .run = run};
}

}  // namespace polariscope::experiments
