#include "polariscope/experiments/polarisation/phase.h"

#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flow_words.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace polariscope::experiments::polarisation::phase {
namespace {

constexpr double kOneHot = 0.1, kSpread = 0.8;  // of log k: a final entropy below the one, above the other
constexpr double kMostly = 0.9;                 // of the trajectories

constexpr std::array kLosses{flow::Loss::kLogistic, flow::Loss::kSquare};
constexpr int kPanelColumns = kLosses.size();  // the two losses side by side
constexpr double kMuchLarger = 100.0;          // of one scale against the other

std::vector<Multiple> scale_panels(const Maps& maps, const char* value, double MapCell::*figure) {
  std::vector<Multiple> result;
  for (const Panel& panel : maps.panels) {
    result.push_back(map_panel(panel.map, {panel.name(), "scale of a₀", "scale of V₀", value, figure, true}));
  }
  return result;
}

struct Count {
  long long have = 0, of = 0;
  void add(bool has) {
    have += has;
    ++of;
  }
  bool all() const { return have == of; }
};

// In how many cells softmax ends more concentrated under logistic than under square loss.
Count logistic_below_square(const Maps& maps) {
  const std::vector<double> logistic = maps.of(flow::Loss::kLogistic, "softmax").all(&MapCell::entropy);
  const std::vector<double> square = maps.of(flow::Loss::kSquare, "softmax").all(&MapCell::entropy);
  Count count;
  for (std::size_t i = 0; i < logistic.size(); ++i) count.add(logistic[i] < square[i]);
  return count;
}

// How often argmax u₀ wins where V₀'s scale is at least a hundred times that of a₀, and where it is the reverse.
Spread wins_of_u(const StartMap& map, bool values_large) {
  std::vector<double> wins;
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const double large = values_large ? map.rows[r] : map.columns[c];
      const double small = values_large ? map.columns[c] : map.rows[r];
      if (large > (1.0 - 1e-9) * kMuchLarger * small) wins.push_back(map.cells[r][c].u_wins);
    }
  }
  return spread_of(std::move(wins));
}

Count falls_with_condition(const StartMap& map) {
  Count count;
  for (const auto& row : map.cells) {
    for (std::size_t c = 1; c < row.size(); ++c) count.add(row[c].entropy < row[c - 1].entropy);
  }
  return count;
}

// "30 of 36 for logistic, softmax": cells whose median entropy ends below a tenth of its largest.
std::string one_hot_cells(const Maps& maps) {
  std::vector<std::string> words;
  for (const Panel& panel : maps.panels) {
    Count count;
    for (const double entropy : panel.map.all(&MapCell::entropy)) count.add(entropy < kOneHot);
    words.push_back(fmt::format("{} of {} for {}", count.have, count.of, panel.name()));
  }
  return fmt::format("{}", fmt::join(words, "; "));
}

// How often argmax u₀ wins on one side of the diagonal, over the cells of softmax under logistic loss.
Spread wins_beside_diagonal(const Maps& maps, bool values_larger) {
  const StartMap& map = maps.of(flow::Loss::kLogistic, "softmax");
  std::vector<double> wins;
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      if (values_larger ? map.rows[r] > map.columns[c] : map.rows[r] < map.columns[c]) {
        wins.push_back(map.cells[r][c].u_wins);
      }
    }
  }
  return spread_of(std::move(wins));
}

// By how much entropy falls from the smallest κ to the largest, at the scale of V₀ where that is most and least.
std::string falls_in_words(const StartMap& map) {
  std::vector<double> falls;
  for (const auto& row : map.cells) falls.push_back(row.front().entropy - row.back().entropy);
  const auto [least, most] = std::ranges::minmax_element(falls);
  const auto scale = [&](auto fall) { return map.rows[fall - falls.begin()]; };
  return fmt::format(
      "From κ = {} to {} entropy falls by {:.2f} log k at the scale {} of V₀, where that is most, and by {:.2f} at {}, "
      "where it is least; the paper's V₀ is the lowest row.",
      map.columns.front(), map.columns.back(), *most, scale(most), *least, scale(least));
}

double most_lost(const Maps& maps) {
  double most = spread_of(maps.conditions.all(&MapCell::lost)).high;
  for (const Panel& panel : maps.panels) most = std::max(most, spread_of(panel.map.all(&MapCell::lost)).high);
  return most;
}

std::vector<report::Figure> figures_of(const Maps& maps) {
  constexpr const char* kEntropyTitle = "final entropy / log k";
  constexpr const char* kWinsTitle = "fraction won by argmax u₀";
  constexpr const char* kCondition = "condition number κ";
  constexpr const char* kValues = "scale of V₀";
  constexpr const char* kShared = "fraction";  // the panels share a legend, so its title must fit both
  const std::vector<Multiple> both = {
      map_panel(maps.conditions, {kEntropyTitle, kCondition, kValues, kShared, &MapCell::entropy}),
      map_panel(maps.conditions, {kWinsTitle, kCondition, kValues, kShared, &MapCell::u_wins})};
  return {
      multiples_figure(
          {.id = "entropy",
           .title = "Final entropy over the scales of the start",
           .caption = fmt::format("Dark: one token has all the weight. Cells that end below {} log k: {}.", kOneHot,
                                  one_hot_cells(maps)),
           .alternative = fmt::format("{} heat maps of final entropy over the scales of V₀ and a₀, logistic loss "
                                      "left, square loss right.",
                                      maps.panels.size()),
           .columns = kPanelColumns,
           .share_x = false},
          scale_panels(maps, kEntropyTitle, &MapCell::entropy)),
      multiples_figure(
          {.id = "winner",
           .title = "How often the token that u favours at the start wins",
           .caption =
               fmt::format("Above the diagonal V₀ has the larger scale. Under logistic loss with softmax u₀ names the "
                           "winner there in {} of the trajectories, below the diagonal in {}.",
                           in_words(wins_beside_diagonal(maps, true), "cells"),
                           in_words(wins_beside_diagonal(maps, false), "cells")),
           .alternative = fmt::format("{} heat maps of how often argmax u₀ wins, over the scales of V₀ and a₀.",
                                      maps.panels.size()),
           .columns = kPanelColumns,
           .share_x = false},
          scale_panels(maps, kWinsTitle, &MapCell::u_wins)),
      multiples_figure({.id = "condition",
                        .title = "Least squares: condition number against the scale of V₀",
                        .caption = falls_in_words(maps.conditions),
                        .alternative = "Two heat maps over condition number and scale of V₀: final entropy, and how "
                                       "often argmax u₀ wins.",
                        .columns = 2,
                        .share_x = false},
                       both),
  };
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {{"model", "value-softmax"},
          {"losses", "logistic, square; least-squares over κ"},
          {"re-weightings", listed(p.reweightings)},
          {"d = k", counted(p.dim)},
          {"scale of V₀", listed(p.value_scales)},
          {"scale of a₀", fmt::format("{}, about {}", listed(p.score_scales), plain(p.score_offset))},
          {"step", plain(p.step)},
          counted_quantity("steps", p.steps, "steps"),
          {"κ", listed(p.conditions)},
          {"scale of V₀ over κ", listed(p.condition_value_scales)},
          {"a₀ over κ", normal_in_words(p.condition_score_scale)},
          {"step, steps over κ", fmt::format("{}, {}", plain(p.condition_step), counted(p.condition_steps))},
          counted_quantity("trajectories a cell", p.per_cell, "trajectories a cell"),
          seed_quantity(context.seed)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

std::int64_t Protocol::cells() const {
  return static_cast<std::int64_t>(kLosses.size() * reweightings.size() * value_scales.size() * score_scales.size() +
                                   conditions.size() * condition_value_scales.size());
}

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  protocol.steps = paper ? 100'000 : 10'000;
  protocol.per_cell = paper ? 480 : 48;
  return protocol;
}

std::string Panel::name() const { return fmt::format("{}, {}", flow::loss_name(loss), reweighting); }

const StartMap& Maps::of(flow::Loss loss, std::string_view reweighting) const {
  const auto found = std::ranges::find_if(
      panels, [&](const Panel& panel) { return panel.loss == loss && panel.reweighting == reweighting; });
  return found->map;
}

Maps measure(const Context& context, const Protocol& p) {
  Maps maps;
  Progress progress = context.progress(p.cells() * p.per_cell, "trajectories");
  std::uint64_t done = 0;
  const auto count = [&](const MapCell& cell) {
    progress.update(done += p.per_cell, fmt::format("entropy {:.2f} log k", cell.entropy));
  };
  MapPlan plan{.step = p.step,
               .steps = p.steps,
               .per_cell = p.per_cell,
               .rows = p.value_scales,
               .columns = p.score_scales,
               .start = [&](double value_scale, double score_scale) {
                 return flow::StartOptions{.outputs = p.dim,
                                           .tokens = p.dim,
                                           .value_scale = value_scale,
                                           .score_scale = score_scale,
                                           .score_offset = p.score_offset};
               }};
  for (const std::string_view reweighting : p.reweightings) {
    for (const flow::Loss loss : kLosses) {
      plan.loss = loss;
      plan.reweighting = reweighting;
      maps.panels.push_back({.loss = loss, .reweighting = reweighting, .map = run_map(context, plan, count)});
    }
  }
  maps.conditions = run_map(context,
                            {.loss = flow::Loss::kLeastSquares,
                             .reweighting = "softmax",
                             .step = p.condition_step,
                             .steps = p.condition_steps,
                             .per_cell = p.per_cell,
                             .rows = p.condition_value_scales,
                             .columns = p.conditions,
                             .start =
                                 [&](double value_scale, double condition) {
                                   return flow::StartOptions{.outputs = p.dim,
                                                             .tokens = p.dim,
                                                             .value_scale = value_scale,
                                                             .score_scale = p.condition_score_scale,
                                                             .condition = condition,
                                                             .samples = p.dim};
                                 }},
                            count);
  progress.finish();
  return maps;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Maps& maps) {
  const Count below = logistic_below_square(maps), falls = falls_with_condition(maps.conditions);
  const StartMap& softmax = maps.of(flow::Loss::kLogistic, "softmax");
  const Spread by_u = wins_of_u(softmax, true), by_scores = wins_of_u(softmax, false);
  const Spread sigmoid = spread_of(maps.of(flow::Loss::kLogistic, "sigmoid").all(&MapCell::entropy));
  return {
      claim_of_count("A.phase/loss", "Softmax ends more concentrated under logistic than under square loss.", "ours",
                     "median final entropy lower in every cell of the two maps", below.have, below.of, "cells",
                     below.all(), "entropy"),
      claim("A.phase/sigmoid", "Elementwise sigmoid polarises from no start.", "ours",
            fmt::format("median final entropy > {} log k in every cell, logistic loss", kSpread), sigmoid, "cells",
            sigmoid.low > kSpread, "entropy"),
      claim("A.phase/winner-u", "Where V₀ is much larger than a₀'s spread, the winner is argmax u₀.", "ours",
            fmt::format("fraction of trajectories won by argmax u₀ > {} in every cell with scale of V₀ ≥ {:g} × scale "
                        "of a₀; logistic, softmax",
                        kMostly, kMuchLarger),
            by_u, "cells", by_u.low > kMostly, "winner"),
      claim("A.phase/winner-a", "Where a₀'s spread is much larger than V₀, u₀ says nothing about the winner.", "ours",
            fmt::format("the same fraction < 2/k in every cell with scale of V₀ ≤ scale of a₀ / {:g}", kMuchLarger),
            by_scores, "cells", by_scores.high < 2.0 / protocol.dim, "winner"),
      claim_of_count("A.phase/condition", "Least squares: entropy falls with the condition number from every start.",
                     "ours", "median final entropy falls from each κ to the next at every scale of V₀", falls.have,
                     falls.of, "steps", falls.all(), "condition"),
  };
}

report::Section describe(const Protocol& p, const Maps& maps) {
  const Count below = logistic_below_square(maps), falls = falls_with_condition(maps.conditions);
  const StartMap& softmax = maps.of(flow::Loss::kLogistic, "softmax");
  const Spread sigmoid = spread_of(maps.of(flow::Loss::kLogistic, "sigmoid").all(&MapCell::entropy));
  report::Section section;
  section.method = fmt::format(
      "{} trajectories of gradient descent, {} in each of {} cells, d = k = {}: V₀ and a₀ Gaussian with the scales on "
      "the axes (a₀ about {}), two losses, {} re-weighting functions, {} steps of {}; and least squares with softmax "
      "over κ, a₀ = {}, {} steps of {}. A cell shows the median of |σ|'s entropy over log k, or how often argmax σ at "
      "the end is argmax u₀. Every cell has the same draws, scaled.",
      counted(p.cells() * p.per_cell), p.per_cell, p.cells(), p.dim, plain(p.score_offset), p.reweightings.size(),
      counted(p.steps), plain(p.step), normal_in_words(p.condition_score_scale), counted(p.condition_steps),
      plain(p.condition_step));
  section.findings = fmt::format(
      "Softmax ends more concentrated under logistic than under square loss in {} of {} cells; elementwise sigmoid "
      "under logistic loss keeps {} of log k. Where V₀ is at least {:g} times larger than a₀'s spread, argmax u₀ wins "
      "in {} of the trajectories of a cell; where it is {:g} times smaller, in {}, against 1/{} by chance. Under least "
      "squares entropy falls in {} of {} steps of κ. At most {:.1f} % of a cell's trajectories diverged.",
      below.have, below.of, in_words(sigmoid, "cells"), kMuchLarger, in_words(wins_of_u(softmax, true), "cells"),
      kMuchLarger, in_words(wins_of_u(softmax, false), "cells"), p.dim, falls.have, falls.of, 100.0 * most_lost(maps));
  section.claims = judge(p, maps);
  section.figures = figures_of(maps);
  return section;
}

}  // namespace polariscope::experiments::polarisation::phase

namespace polariscope::experiments {

Experiment a_phase() {
  return {.id = "A.phase",
          .title = "A map of polarisation over starts, losses and re-weighting functions",
          .source = "ours",
          .question = "From which starts, under which losses, do weights polarise, and is the winner known beforehand?",
          .protocol = polarisation::phase::quantities,
          .run = polarisation::phase::run};
}

}  // namespace polariscope::experiments
