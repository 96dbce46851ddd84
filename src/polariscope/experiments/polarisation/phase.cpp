// Ours: where in the space of starts, losses and re-weighting functions weights polarise, and who wins.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/start_map.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace polariscope::experiments {
namespace {

constexpr int kDim = 8;

// One panel of the maps over the scales of V₀ and a₀.
struct Panelled {
  std::string_view name;
  flow::Loss loss;
  std::string_view reweighting;
};
constexpr std::array kPanels{
    Panelled{"logistic, softmax", flow::Loss::kLogistic, "softmax"},
    Panelled{"square, softmax", flow::Loss::kSquare, "softmax"},
    Panelled{"logistic, relu/sum", flow::Loss::kLogistic, "relu/sum"},
    Panelled{"square, relu/sum", flow::Loss::kSquare, "relu/sum"},
    Panelled{"logistic, square/sum", flow::Loss::kLogistic, "square/sum"},
    Panelled{"square, square/sum", flow::Loss::kSquare, "square/sum"},
    Panelled{"logistic, sigmoid", flow::Loss::kLogistic, "sigmoid"},
    Panelled{"square, sigmoid", flow::Loss::kSquare, "sigmoid"},
};
constexpr int kPanelColumns = 2;  // the two losses side by side
constexpr double kStep = 0.1;
constexpr std::array kValueScales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};
constexpr std::array kScoreScales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};

// The third axis: condition number against V's scale, least squares with softmax.
constexpr std::array kConditions{1.0, 2.0, 3.0, 4.0, 5.0};
constexpr std::array kConditionValueScales{1e-5, 1e-3, 0.1, 0.3, 1.0, 3.0};
constexpr double kConditionStep = 0.01;
constexpr std::int64_t kConditionSteps = 30'000;

struct Sizes {
  std::int64_t per_cell, steps;
};
constexpr Sizes kQuick{48, 10'000};
constexpr Sizes kPaper{480, 100'000};

struct Maps {
  std::vector<StartMap> scales;  // by panel
  StartMap conditions;
  std::int64_t cells = 0;

  const StartMap& of(flow::Loss loss, std::string_view reweighting) const {
    const auto found = std::ranges::find_if(
        kPanels, [&](const Panelled& panel) { return panel.loss == loss && panel.reweighting == reweighting; });
    return scales[found - kPanels.begin()];
  }
};

Maps run_all(const Context& context, const Sizes& sizes) {
  Maps maps{.scales = {}, .conditions = {}};
  maps.cells = static_cast<std::int64_t>(kPanels.size() * kValueScales.size() * kScoreScales.size() +
                                         kConditions.size() * kConditionValueScales.size());
  Progress progress = context.progress(maps.cells * sizes.per_cell, "trajectories");
  std::uint64_t done = 0;
  const auto count = [&](const MapCell& cell) {
    progress.update(done += sizes.per_cell, fmt::format("entropy {:.2f} log k", cell.entropy));
  };
  for (const Panelled& panel : kPanels) {
    // Every function starts about 1, where all of them have weight; softmax does not mind.
    const auto start = [](double value_scale, double score_scale) {
      return flow::StartOptions{
          .outputs = kDim, .tokens = kDim, .value_scale = value_scale, .score_scale = score_scale, .score_offset = 1.0};
    };
    maps.scales.push_back(run_map(context,
                                  {.loss = panel.loss,
                                   .reweighting = panel.reweighting,
                                   .step = kStep,
                                   .steps = sizes.steps,
                                   .per_cell = sizes.per_cell,
                                   .rows = {kValueScales.begin(), kValueScales.end()},
                                   .columns = {kScoreScales.begin(), kScoreScales.end()},
                                   .start = start},
                                  count));
  }
  const auto start = [](double value_scale, double condition) {
    return flow::StartOptions{.outputs = kDim,
                              .tokens = kDim,
                              .value_scale = value_scale,
                              .score_scale = 1e-3,
                              .condition = condition,
                              .samples = kDim};
  };
  maps.conditions = run_map(context,
                            {.loss = flow::Loss::kLeastSquares,
                             .reweighting = "softmax",
                             .step = kConditionStep,
                             .steps = kConditionSteps,
                             .per_cell = sizes.per_cell,
                             .rows = {kConditionValueScales.begin(), kConditionValueScales.end()},
                             .columns = {kConditions.begin(), kConditions.end()},
                             .start = start},
                            count);
  progress.finish();
  return maps;
}

std::vector<Multiple> scale_panels(const Maps& maps, const char* value, double MapCell::*figure) {
  std::vector<Multiple> result;
  for (std::size_t i = 0; i < kPanels.size(); ++i) {
    result.push_back(
        map_panel(maps.scales[i], {std::string(kPanels[i].name), "scale of a₀", "scale of V₀", value, figure, true}));
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
      const double ratio = map.rows[r] / map.columns[c];
      if (values_large ? ratio > 99.0 : ratio < 0.011) wins.push_back(map.cells[r][c].u_wins);
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
  for (std::size_t i = 0; i < kPanels.size(); ++i) {
    Count count;
    for (const double entropy : maps.scales[i].all(&MapCell::entropy)) count.add(entropy < 0.1);
    words.push_back(fmt::format("{} of {} for {}", count.have, count.of, kPanels[i].name));
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
  for (const StartMap& map : maps.scales) most = std::max(most, spread_of(map.all(&MapCell::lost)).high);
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
           .caption = fmt::format("Dark: one token has all the weight. Cells that end below 0.1 log k: {}.",
                                  one_hot_cells(maps)),
           .alternative = "Eight heat maps of final entropy over the scales of V₀ and a₀, logistic loss left, "
                          "square loss right.",
           .columns = kPanelColumns,
           .share_x = false},
          scale_panels(maps, kEntropyTitle, &MapCell::entropy)),
      multiples_figure({.id = "winner",
                        .title = "How often the token that u favours at the start wins",
                        .caption = fmt::format(
                            "Above the diagonal V₀ has the larger scale. Under logistic loss with softmax u₀ names the "
                            "winner there in {} of the trajectories, below the diagonal in {}.",
                            in_words(wins_beside_diagonal(maps, true), "cells"),
                            in_words(wins_beside_diagonal(maps, false), "cells")),
                        .alternative = "Eight heat maps of how often argmax u₀ wins, over the scales of V₀ and a₀.",
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

report::Section run(const Context& context) {
  const Sizes sizes = context.paper() ? kPaper : kQuick;
  const Maps maps = run_all(context, sizes);
  const Count below = logistic_below_square(maps);
  const StartMap& softmax = maps.of(flow::Loss::kLogistic, "softmax");
  const Spread by_u = wins_of_u(softmax, true);
  const Spread by_scores = wins_of_u(softmax, false);
  const Spread sigmoid = spread_of(maps.of(flow::Loss::kLogistic, "sigmoid").all(&MapCell::entropy));
  const Count falls = falls_with_condition(maps.conditions);

  report::Section section;
  section.method = fmt::format(
      "{} trajectories of gradient descent, {} in each of {} cells, d = k = {}: V₀ and a₀ Gaussian with the scales on "
      "the "
      "axes (a₀ about 1), two losses, four re-weighting functions, {} steps of {}; and least squares with softmax over "
      "κ, a₀ = 1e-3·N(0, 1), {} steps of {}. A cell shows the median of |σ|'s entropy over log k, or how often argmax "
      "σ "
      "at the end is argmax u₀. Every cell has the same draws, scaled.",
      maps.cells * sizes.per_cell, sizes.per_cell, maps.cells, kDim, sizes.steps, kStep, kConditionSteps,
      kConditionStep);
  section.findings = fmt::format(
      "Softmax ends more concentrated under logistic than under square loss in {} of {} cells; elementwise sigmoid "
      "under logistic loss keeps {} of log k. Where V₀ is at least 100 times larger than a₀'s spread, argmax u₀ wins "
      "in {} of the trajectories of a cell; where it is 100 times smaller, in {}, against 1/{} by chance. Under least "
      "squares entropy falls in {} of {} steps of κ. At most {:.1f} % of a cell's trajectories diverged.",
      below.have, below.of, in_words(sigmoid, "cells"), in_words(by_u, "cells"), in_words(by_scores, "cells"), kDim,
      falls.have, falls.of, 100.0 * most_lost(maps));
  section.claims = {
      claim_of_count("A.phase/loss", "Softmax ends more concentrated under logistic than under square loss.", "ours",
                     "median final entropy lower in every cell of the two maps", below.have, below.of, "cells",
                     below.all(), "entropy"),
      claim("A.phase/sigmoid", "Elementwise sigmoid polarises from no start.", "ours",
            "median final entropy > 0.8 log k in every cell, logistic loss", sigmoid, "cells", sigmoid.low > 0.8,
            "entropy"),
      claim("A.phase/winner-u", "Where V₀ is much larger than a₀'s spread, the winner is argmax u₀.", "ours",
            "fraction of trajectories won by argmax u₀ > 0.9 in every cell with scale of V₀ ≥ 100 × scale of a₀; "
            "logistic, softmax",
            by_u, "cells", by_u.low > 0.9, "winner"),
      claim("A.phase/winner-a", "Where a₀'s spread is much larger than V₀, u₀ says nothing about the winner.", "ours",
            "the same fraction < 2/k in every cell with scale of V₀ ≤ scale of a₀ / 100", by_scores, "cells",
            by_scores.high < 2.0 / kDim, "winner"),
      claim_of_count("A.phase/condition", "Least squares: entropy falls with the condition number from every start.",
                     "ours", "median final entropy falls from each κ to the next at every scale of V₀", falls.have,
                     falls.of, "steps", falls.all(), "condition"),
  };
  section.figures = figures_of(maps);
  section.configuration = {{"model", "value-softmax"},
                           {"losses", "logistic, square; least-squares over κ"},
                           {"re-weightings", "softmax, relu/sum, square/sum, sigmoid"},
                           {"d = k", fmt::format("{}", kDim)},
                           {"scale of V₀", fmt::format("{}", fmt::join(kValueScales, ", "))},
                           {"scale of a₀", fmt::format("{}", fmt::join(kScoreScales, ", "))},
                           {"κ", fmt::format("{}", fmt::join(kConditions, ", "))},
                           {"trajectories a cell", fmt::format("{}", sizes.per_cell)},
                           {"steps", fmt::format("{}", sizes.steps)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper()) {
    section.differences = fmt::format("{} trajectories a cell of {} steps where the paper preset takes {} of {}.",
                                      kQuick.per_cell, kQuick.steps, kPaper.per_cell, kPaper.steps);
  }
  return section;
}

}  // namespace

Experiment a_phase() {
  return {.id = "A.phase",
          .title = "A map of polarisation over starts, losses and re-weighting functions",
          .source = "ours",
          .question = "From which starts, under which losses, do weights polarise, and is the winner known beforehand?",
          .run = run};
}

}  // namespace polariscope::experiments
