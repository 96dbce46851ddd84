// Ours: where in the space of starts, losses and re-weighting functions weights polarise, and who wins.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/multiples.h"
#include "polariscope/experiments/readings.h"
#include "polariscope/flow/ensemble.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace polariscope {
namespace {

constexpr int kDim = 8;

// One panel of the maps.
struct Setting {
  std::string_view name;
  Loss loss;
  std::string_view reweighting;
  double step;
};
constexpr std::array kSettings{
    Setting{"logistic, softmax", Loss::kLogistic, "softmax", 0.1},
    Setting{"logistic, relu/sum", Loss::kLogistic, "relu/sum", 0.1},
    Setting{"logistic, square/sum", Loss::kLogistic, "square/sum", 0.1},
    Setting{"logistic, sigmoid", Loss::kLogistic, "sigmoid", 0.1},
    Setting{"square, softmax", Loss::kSquare, "softmax", 0.1},
    Setting{"square, relu/sum", Loss::kSquare, "relu/sum", 0.1},
    Setting{"square, square/sum", Loss::kSquare, "square/sum", 0.1},
    Setting{"square, sigmoid", Loss::kSquare, "sigmoid", 0.1},
};
constexpr int kPanelColumns = 4;
constexpr std::array kValueScales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};
constexpr std::array kScoreScales{0.001, 0.01, 0.1, 0.3, 1.0, 3.0};

// The third axis: condition number against V's scale, least squares with softmax.
constexpr std::array kConditions{1.0, 2.0, 3.0, 4.0, 5.0};
constexpr std::array kSmallScales{1e-5, 1e-3, 0.1, 0.3, 1.0, 3.0};
constexpr double kConditionStep = 0.01;

struct Sizes {
  std::int64_t per_cell, steps, condition_steps;
};
constexpr Sizes kQuick{48, 10'000, 30'000};
constexpr Sizes kPaper{400, 100'000, 30'000};

// What is left of one cell's trajectories.
struct Cell {
  double entropy = 0.0;  // median of the final entropy against its largest, log k
  double u_wins = 0.0;   // fraction in which argmax σ at the end = argmax u₀
  double lost = 0.0;     // fraction that diverged; not in the other two
};

struct Map {
  std::vector<double> columns, rows;
  std::vector<std::vector<Cell>> cells;  // [rows][columns]
};

class Counter {
 public:
  Counter(const Context& context, std::uint64_t total) : progress_(context.progress(total, "trajectories")) {}
  void add(std::int64_t count, const Cell& cell) {
    progress_.update(done_ += count, fmt::format("entropy {:.2f} log k", cell.entropy));
  }
  void finish() { progress_.finish(); }

 private:
  Progress progress_;
  std::uint64_t done_ = 0;
};

Cell run_cell(const Context& context, Loss loss, const Reweighting& reweighting, const StartOptions& options,
              double step, std::int64_t steps, std::int64_t count) {
  std::vector<double> entropies(count, std::numeric_limits<double>::quiet_NaN());
  std::vector<double> u_wins = entropies;
  descend_ensemble(
      [&](std::int64_t i) { return random_start(Model::kValueSoftmax, loss, reweighting, options, context.seed, i); },
      {.trajectories = count,
       .threads = context.threads,
       .descent = {.step = step, .steps = steps, .samples = {0, steps}, .singular_values = false, .progress = {}},
       .progress = {}},
      [&](std::int64_t i, const Trajectory& trajectory) {
        if (trajectory.ending == Ending::kDiverged) return;
        entropies[i] = trajectory.abs_entropy.back() / std::log(kDim);
        u_wins[i] = final_winner(trajectory) == leader_of_u(trajectory) ? 1.0 : 0.0;
      });
  const Spread entropy = spread_of(entropies);
  double wins = 0.0;
  for (const double won : u_wins) wins += won == 1.0;
  return {.entropy = entropy.median,
          .u_wins = wins / static_cast<double>(entropy.runs),
          .lost = 1.0 - static_cast<double>(entropy.runs) / static_cast<double>(count)};
}

Map run_scales(const Context& context, const Setting& setting, const Sizes& sizes, Counter& counter) {
  Map map{.columns = {kScoreScales.begin(), kScoreScales.end()},
          .rows = {kValueScales.begin(), kValueScales.end()},
          .cells = {}};
  for (const double value_scale : kValueScales) {
    auto& row = map.cells.emplace_back();
    for (const double score_scale : kScoreScales) {
      // Every function starts about 1, where all of them have weight; softmax does not mind.
      const StartOptions options{
          .outputs = kDim, .tokens = kDim, .value_scale = value_scale, .score_scale = score_scale, .score_offset = 1.0};
      row.push_back(run_cell(context, setting.loss, find_reweighting(setting.reweighting), options, setting.step,
                             sizes.steps, sizes.per_cell));
      counter.add(sizes.per_cell, row.back());
    }
  }
  return map;
}

Map run_conditions(const Context& context, const Sizes& sizes, Counter& counter) {
  Map map{.columns = {kConditions.begin(), kConditions.end()},
          .rows = {kSmallScales.begin(), kSmallScales.end()},
          .cells = {}};
  for (const double value_scale : kSmallScales) {
    auto& row = map.cells.emplace_back();
    for (const double condition : kConditions) {
      const StartOptions options{.outputs = kDim,
                                 .tokens = kDim,
                                 .value_scale = value_scale,
                                 .score_scale = 1e-3,
                                 .condition = condition,
                                 .samples = kDim};
      row.push_back(run_cell(context, Loss::kLeastSquares, find_reweighting("softmax"), options, kConditionStep,
                             sizes.condition_steps, sizes.per_cell));
      counter.add(sizes.per_cell, row.back());
    }
  }
  return map;
}

Multiple panel(std::string title, const Map& map, std::string x, std::string y, std::string value, double Cell::*figure,
               std::optional<double> high) {
  HeatMap chart{.x = {std::move(x)},
                .y = {std::move(y)},
                .value_title = std::move(value),
                .columns = map.columns,
                .rows = map.rows,
                .values = {},
                .low = 0.0,
                .high = high,
                .outlined = {}};
  for (const auto& row : map.cells) {
    auto& values = chart.values.emplace_back();
    for (const Cell& cell : row) values.push_back(cell.*figure);
  }
  return {.title = std::move(title), .spec = heat_map(chart), .table = table_of(chart)};
}

constexpr const char* kEntropyTitle = "final entropy / log k";
constexpr const char* kWinsTitle = "fraction won by argmax u₀";

std::vector<Multiple> scale_panels(const std::vector<Map>& maps, const char* title, double Cell::*figure) {
  std::vector<Multiple> result;
  for (std::size_t i = 0; i < kSettings.size(); ++i) {
    result.push_back(panel(std::string(kSettings[i].name), maps[i], "scale of a₀", "scale of V₀", title, figure, 1.0));
  }
  return result;
}

const Map& map_of(const std::vector<Map>& maps, Loss loss, std::string_view reweighting) {
  const auto found =
      std::ranges::find_if(kSettings, [&](const Setting& s) { return s.loss == loss && s.reweighting == reweighting; });
  return maps[found - kSettings.begin()];
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
Count logistic_below_square(const std::vector<Map>& maps) {
  const Map& logistic = map_of(maps, Loss::kLogistic, "softmax");
  const Map& square = map_of(maps, Loss::kSquare, "softmax");
  Count count;
  for (std::size_t r = 0; r < kValueScales.size(); ++r) {
    for (std::size_t c = 0; c < kScoreScales.size(); ++c) {
      count.add(logistic.cells[r][c].entropy < square.cells[r][c].entropy);
    }
  }
  return count;
}

// How often argmax u₀ wins where V's scale is at least a hundred times that of a, and where it is the reverse.
Spread wins_of_u(const Map& map, bool values_large) {
  std::vector<double> wins;
  for (std::size_t r = 0; r < kValueScales.size(); ++r) {
    for (std::size_t c = 0; c < kScoreScales.size(); ++c) {
      const double ratio = kValueScales[r] / kScoreScales[c];
      if (values_large ? ratio > 99.0 : ratio < 0.011) wins.push_back(map.cells[r][c].u_wins);
    }
  }
  return spread_of(std::move(wins));
}

Spread entropies_of(const Map& map) {
  std::vector<double> entropies;
  for (const auto& row : map.cells) {
    for (const Cell& cell : row) entropies.push_back(cell.entropy);
  }
  return spread_of(std::move(entropies));
}

Count falls_with_condition(const Map& map) {
  Count count;
  for (const auto& row : map.cells) {
    for (std::size_t c = 1; c < row.size(); ++c) count.add(row[c].entropy < row[c - 1].entropy);
  }
  return count;
}

double most_lost(const std::vector<Map>& maps, const Map& conditions) {
  double most = 0.0;
  const auto look = [&](const Map& map) {
    for (const auto& row : map.cells) {
      for (const Cell& cell : row) most = std::max(most, cell.lost);
    }
  };
  for (const Map& map : maps) look(map);
  look(conditions);
  return most;
}

std::vector<Figure> figures_of(const std::vector<Map>& maps, const Map& conditions) {
  constexpr const char* kCondition = "condition number κ";
  constexpr const char* kValues = "scale of V₀";
  const std::vector<Multiple> both = {
      panel("entropy", conditions, kCondition, kValues, kEntropyTitle, &Cell::entropy, 1.0),
      panel("winner", conditions, kCondition, kValues, kWinsTitle, &Cell::u_wins, 1.0)};
  return {
      multiples_figure({.id = "entropy",
                        .title = "Final entropy over the scales of the start",
                        .caption = "Dark: one token has all the weight. Above, logistic loss polarises from almost "
                                   "every start but for elementwise sigmoid; the bright corner has not begun to move "
                                   "yet. Below, square loss stops early unless the start was already uneven.",
                        .alternative = "Eight heat maps of final entropy over the scales of V₀ and a₀, logistic loss "
                                       "above, square loss below.",
                        .columns = kPanelColumns,
                        .share_x = false},
                       scale_panels(maps, kEntropyTitle, &Cell::entropy)),
      multiples_figure({.id = "winner",
                        .title = "How often the token that u favours at the start wins",
                        .caption = "The boundary is the diagonal: above it V₀ is the larger and u₀ names the winner, "
                                   "below it a₀ does.",
                        .alternative = "Eight heat maps of how often argmax u₀ wins, over the scales of V₀ and a₀.",
                        .columns = kPanelColumns,
                        .share_x = false},
                       scale_panels(maps, kWinsTitle, &Cell::u_wins)),
      multiples_figure({.id = "condition",
                        .title = "Least squares: condition number against the scale of V₀",
                        .caption = "Entropy falls with κ from every start, and most from a V₀ between 0.1 and 1; the "
                                   "paper's tiny V₀ (lowest row) is where it falls least.",
                        .alternative = "Two heat maps over condition number and scale of V₀: final entropy, and how "
                                       "often argmax u₀ wins.",
                        .columns = 2,
                        .share_x = false},
                       both),
  };
}

Section run(const Context& context) {
  const Sizes sizes = context.paper() ? kPaper : kQuick;
  const std::int64_t cells = static_cast<std::int64_t>(kSettings.size() * kValueScales.size() * kScoreScales.size() +
                                                       kConditions.size() * kSmallScales.size());
  Counter counter(context, cells * sizes.per_cell);
  std::vector<Map> maps;
  for (const Setting& setting : kSettings) maps.push_back(run_scales(context, setting, sizes, counter));
  const Map conditions = run_conditions(context, sizes, counter);
  counter.finish();

  const Count below = logistic_below_square(maps);
  const Map& softmax = map_of(maps, Loss::kLogistic, "softmax");
  const Spread by_u = wins_of_u(softmax, true);
  const Spread by_scores = wins_of_u(softmax, false);
  const Spread sigmoid = entropies_of(map_of(maps, Loss::kLogistic, "sigmoid"));
  const Count falls = falls_with_condition(conditions);

  Section section;
  section.method = fmt::format(
      "{} trajectories of gradient descent, {} in each of {} cells, d = k = {}: V₀ and a₀ Gaussian with the scales on "
      "the "
      "axes (a₀ about 1), two losses, four re-weighting functions, {} steps of {}; and least squares with softmax over "
      "κ, a₀ = 1e-3·N(0, 1), {} steps of {}. A cell shows the median of |σ|'s entropy over log k, or how often argmax "
      "σ "
      "at the end is argmax u₀.",
      cells * sizes.per_cell, sizes.per_cell, cells, kDim, sizes.steps, kSettings[0].step, sizes.condition_steps,
      kConditionStep);
  section.findings = fmt::format(
      "Softmax ends more concentrated under logistic than under square loss in {} of {} cells; elementwise sigmoid "
      "under logistic loss keeps {} of log k. Where V₀ is at least 100 times larger than a₀'s spread, argmax u₀ wins "
      "in "
      "{} of the trajectories of a cell; where it is 100 times smaller, in {}, which is chance. Under least squares "
      "entropy falls in {} of {} steps of κ. At most {:.1f} % of a cell's trajectories diverged.",
      below.have, below.of, in_words(sigmoid, "cells"), in_words(by_u, "cells"), in_words(by_scores, "cells"),
      falls.have, falls.of, 100.0 * most_lost(maps, conditions));
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
  section.figures = figures_of(maps, conditions);
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

}  // namespace polariscope
