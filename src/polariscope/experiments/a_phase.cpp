// Ours: where in the space of starts, losses and re-weighting functions weights polarise, and who wins.
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/multiples.h"
#include "polariscope/experiments/readings.h"
#include "polariscope/flow/ensemble.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
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
constexpr Sizes kQuick{16, 10'000, 30'000};
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
      [&](std::int64_t i) {
        return random_start(Model::kValueSoftmax, loss, reweighting, options, context.seed, i);
      },
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
      const StartOptions options{.outputs = kDim,
                                 .tokens = kDim,
                                 .value_scale = value_scale,
                                 .score_scale = score_scale,
                                 .score_offset = 1.0};
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

Multiple panel(std::string title, const Map& map, std::string x, std::string y, std::string value,
               double Cell::* figure, std::optional<double> high) {
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

std::vector<Multiple> scale_panels(const std::vector<Map>& maps, const char* title, double Cell::* figure) {
  std::vector<Multiple> result;
  for (std::size_t i = 0; i < kSettings.size(); ++i) {
    result.push_back(panel(std::string(kSettings[i].name), maps[i], "scale of a₀", "scale of V₀", title, figure, 1.0));
  }
  return result;
}

// Over all cells of a map.
Spread over(const Map& map, double Cell::* figure) {
  std::vector<double> values;
  for (const auto& row : map.cells) {
    for (const Cell& cell : row) values.push_back(cell.*figure);
  }
  return spread_of(values);
}

constexpr std::size_t settings_of(Loss loss, std::string_view reweighting) {
  return std::ranges::find_if(kSettings,
                              [&](const Setting& s) { return s.loss == loss && s.reweighting == reweighting; }) -
         kSettings.begin();
}

Section run(const Context& context) {
  const Sizes sizes = context.paper() ? kPaper : kQuick;
  const std::int64_t scale_cells = kSettings.size() * kValueScales.size() * kScoreScales.size();
  const std::int64_t condition_cells = kConditions.size() * kSmallScales.size();
  const std::int64_t total = (scale_cells + condition_cells) * sizes.per_cell;
  Counter counter(context, total);
  std::vector<Map> maps;
  for (const Setting& setting : kSettings) maps.push_back(run_scales(context, setting, sizes, counter));
  const Map conditions = run_conditions(context, sizes, counter);
  counter.finish();

  Section section;
  section.method = fmt::format("{} trajectories", total);
  section.findings = "";
  section.figures = {
      multiples_figure({.id = "entropy",
                        .title = "Final entropy over the scales of the start",
                        .caption = "",
                        .alternative = "",
                        .columns = kPanelColumns,
                        .share_x = false},
                       scale_panels(maps, kEntropyTitle, &Cell::entropy)),
      multiples_figure({.id = "winner",
                        .title = "How often the token that u favours at the start wins",
                        .caption = "",
                        .alternative = "",
                        .columns = kPanelColumns,
                        .share_x = false},
                       scale_panels(maps, kWinsTitle, &Cell::u_wins)),
      multiples_figure(
          {.id = "condition",
           .title = "Least squares: condition number against the scale of V₀",
           .caption = "",
           .alternative = "",
           .columns = 2,
           .share_x = false},
          std::vector{panel("entropy", conditions, "condition number κ", "scale of V₀", kEntropyTitle, &Cell::entropy, 1.0),
                      panel("winner", conditions, "condition number κ", "scale of V₀", kWinsTitle, &Cell::u_wins, 1.0)}),
  };
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
