#include "polariscope/experiments/lipschitz/eq20.h"

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
#include <numbers>

namespace polariscope::experiments::lipschitz::eq20 {
namespace {

// (20): of N(0, variance), in nats.
double differential_entropy(double variance) {
  return 0.5 * std::log(2.0 * std::numbers::pi * std::numbers::e * variance);
}

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

// From the smallest σ to the largest.
Spread change_of(const Measured& pairs, std::vector<double> Pair::*entropy) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back((pair.*entropy).back() - (pair.*entropy).front());
  return spread_of(std::move(values));
}

Spread agreements(const Measured& pairs) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back(agreement(pair));
  return spread_of(std::move(values));
}

bool always_falls(const Measured& pairs, std::vector<double> Pair::*entropy) {
  return std::ranges::all_of(pairs, [&](const Pair& pair) {
    return std::ranges::all_of(changes(pair.*entropy), [](double change) { return change < 0.0; });
  });
}

report::Series line_of(const Protocol& protocol, std::string name, std::string colour, const Measured& pairs,
                       std::vector<double> Pair::*entropy) {
  std::vector<std::vector<double>> runs;
  for (const Pair& pair : pairs) runs.push_back(pair.*entropy);
  report::Series line = spread_series(std::move(name), protocol.scales, runs);
  line.colour = std::move(colour);
  return line;
}

report::Figure entropies_figure(const Protocol& protocol, const Measured& pairs) {
  const double log_keys = std::log(static_cast<double>(protocol.scores.keys));
  return chart_figure(
      "entropies", "Two entropies of the same scores",
      fmt::format(
          "From the smallest σ to the largest (20) changes by {} nats, the entropy of the same scores' softmax by {}.",
          significant(change_of(pairs, &Pair::differential).median, 3),
          significant(change_of(pairs, &Pair::attention).median, 3)),
      "Differential entropy of the scores and entropy of their softmax against σ.",
      {.x = {"standard deviation of the scores σ", report::Scale::kLog},
       .y = {"entropy (nats)"},
       .series = {line_of(protocol, "equation (20), of the density of the scores", report::palette_colour(0), pairs,
                          &Pair::differential),
                  line_of(protocol, "attention entropy H, of the softmax row", colour_of("softmax"), pairs,
                          &Pair::attention)},
       .references = {{fmt::format("log N = {:.2f}", log_keys), log_keys}}});
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"N", counted(p.scores.keys)},
          {"width", counted(p.scores.width)},
          {"queries", counted(p.scores.queries)},
          {"σ", listed(p.scales)},
          seeds_quantity(context.seed, p.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

Protocol protocol_of(Preset preset) {
  Protocol protocol;
  protocol.seeds = preset == Preset::kPaper ? 20 : 5;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Progress progress = context.progress(static_cast<std::uint64_t>(protocol.seeds), "seeds");
  Measured pairs;
  for (long long seed = 0; seed < protocol.seeds; ++seed) {
    Pair& pair = pairs.emplace_back();
    for (const double scale : protocol.scales) {
      ControlledScores scores = protocol.scores;
      scores.key_scale = scale;
      const ControlledRows rows =
          controlled_rows(controlled_attentions()[kSoftmax], scores, context.seed + static_cast<std::uint64_t>(seed));
      pair.differential.push_back(differential_entropy(rows.score_variance));
      pair.attention.push_back(rows.entropy.value());
    }
    progress.update(static_cast<std::uint64_t>(seed) + 1);
  }
  progress.finish();
  return pairs;
}

std::vector<report::Claim> judge(const Protocol& /*protocol*/, const Measured& pairs) {
  const Spread together = agreements(pairs), up = change_of(pairs, &Pair::differential),
               down = change_of(pairs, &Pair::attention);
  return {
      claim_in_words(
          "B.eq20/same-way", "The entropy of equation (20) stands for attention entropy: both fall as σ grows.",
          "Equation (20)", "from each σ to the next both entropies fall, every seed",
          fmt::format("(20) {}{} nats, attention {}{} nats (medians of {} seeds)", up.median > 0 ? "+" : "",
                      significant(up.median, 3), down.median > 0 ? "+" : "", significant(down.median, 3), up.runs),
          together,
          judged(together.runs, 1, always_falls(pairs, &Pair::differential) && always_falls(pairs, &Pair::attention)),
          "entropies"),
      claim_in_words("B.eq20/attention", "Attention entropy falls as σ grows: the claim under which (20) stands.",
                     "Text at equation (20)",
                     "the mean entropy falls from each σ to the next, every seed; measured: its change from the first "
                     "to the last",
                     in_words(down, "seeds", 3, "nats"), down,
                     judged(down.runs, 1, always_falls(pairs, &Pair::attention)), "entropies")};
}

report::Section describe(const Protocol& p, const Measured& pairs) {
  const double zero_at = std::exp(-0.5 * std::log(2.0 * std::numbers::pi * std::numbers::e));
  report::Section section;
  section.method = fmt::format(
      "Scores N(0, σ²) of {} queries over N = {} keys, σ from {:g} to {:g}, {} seeds. Beside each other: equation "
      "(20), "
      "½ log(2πe·Var) with the variance measured on the scores, and the entropy −Σ p log p of their softmax.",
      p.scores.queries, p.scores.keys, p.scales.front(), p.scales.back(), p.seeds);
  section.findings = fmt::format(
      "From σ = {:g} to {:g} equation (20) changes by {} and the entropy of attention by {}. They move the same "
      "way in {:.0f} % of the steps from one σ to the next. Equation (20) is negative below σ = {:.3f}, as no entropy "
      "of attention can be: it measures the density of the scores before the softmax, not the row after it.",
      p.scales.front(), p.scales.back(), in_words(change_of(pairs, &Pair::differential), "seeds", 3, "nats"),
      in_words(change_of(pairs, &Pair::attention), "seeds", 3, "nats"), 100.0 * agreements(pairs).median, zero_at);
  section.claims = judge(p, pairs);
  section.figures = {entropies_figure(p, pairs)};
  section.differences = "The paper prints (20) without numbers; the comparison is ours.";
  return section;
}

}  // namespace polariscope::experiments::lipschitz::eq20

namespace polariscope::experiments {

Experiment b_eq20() {
  return {.id = "B.eq20",
          .title = "A differential entropy is no attention entropy",
          .source = "Lipschitz paper, equation (20)",
          .question = "Does the entropy of equation (20) say anything about the entropy of attention?",
          .protocol = lipschitz::eq20::quantities,
          .run = lipschitz::eq20::run};
}

}  // namespace polariscope::experiments
