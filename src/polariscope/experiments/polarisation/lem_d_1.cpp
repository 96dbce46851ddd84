// Lemma D.1 of the polarisation paper: softmax flows do not see c·1 added to a, and conserve 1ᵀa.
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/attention_looks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr std::string_view kSum = "A.lemD.1/sum";
constexpr std::array<flow::Loss, 4> kLosses{flow::Loss::kLogistic, flow::Loss::kSquare, flow::Loss::kLeastSquares,
                                            flow::Loss::kKl};
constexpr std::array<int, 3> kSizes{2, 8, 16};
constexpr std::array<double, 2> kScales{0.1, 1.0};
constexpr double kStep = 0.05;
constexpr std::int64_t kSteps = 2'000;
constexpr std::array<double, 8> kShifts{-1000.0, -100.0, -10.0, -1.0, 1.0, 10.0, 100.0, 1000.0};
// Softmax against two of its rivals, which do see the shift; all positive, so that any shift is allowed.
constexpr std::array<std::string_view, 3> kRows{"softmax", "sigmoid/sum", "elu1/sum"};
// a + c keeps 16 digits of c: with |c| = 1000 that is 1e-13 of a, and the flow may amplify it.
constexpr double kUnchanged = 1e-9;
// Drawn for no change at all, which has no place on a logarithmic axis.
constexpr double kNothing = 1e-17;

// Largest difference in σ, u and V between a descent and the one from a₀ + c·1.
double effect_of_shift(const flow::Start& start, const flow::Trajectory& base, double shift) {
  flow::Start shifted = start;
  for (double& a : shifted.state.scores) a += shift;
  const flow::Trajectory moved =
      flow::descend(shifted.problem, shifted.state, {.step = kStep, .steps = kSteps, .samples = {}, .progress = {}});
  double top = 0.0;
  const auto compare = [&](const std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < x.size(); ++i) top = std::max(top, std::abs(x[i] - y[i]));
  };
  compare(base.sigma, moved.sigma);
  compare(base.u, moved.u);
  compare(base.final_state.values, moved.final_state.values);
  return top;
}

// effects[row][shift][start]
using Effects = std::vector<std::vector<std::vector<double>>>;

Effects effects_of_shifts(const Context& context, std::int64_t starts) {
  Effects effects(kRows.size(), {kShifts.size(), std::vector<double>(starts)});
  for (std::size_t row = 0; row < kRows.size(); ++row) {
    parallel_for(starts, context.threads, [&](std::int64_t i) {
      Setting setting{.loss = kLosses[i % kLosses.size()], .reweighting = &reweighting::find_reweighting(kRows[row])};
      setting.start.score_scale = 1.0;
      const flow::Start start = setting.draw(context.seed, i);
      const flow::Trajectory base =
          flow::descend(start.problem, start.state, {.step = kStep, .steps = kSteps, .samples = {}, .progress = {}});
      for (std::size_t c = 0; c < kShifts.size(); ++c) {
        effects[row][c][i] = effect_of_shift(start, base, kShifts[c]);
      }
    });
  }
  return effects;
}

report::Figure shift_figure(const Effects& effects) {
  report::SeriesChart chart{.x = {.title = "size of the shift |c|", .scale = report::Scale::kLog},
                            .y = {.title = "largest change of σ, u, V", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {}};
  std::vector<std::string> ends;
  std::vector<double> sizes(kShifts.begin() + kShifts.size() / 2, kShifts.end());
  for (std::size_t row = 0; row < kRows.size(); ++row) {
    const std::size_t starts = effects[row][0].size();
    std::vector<std::vector<double>> runs(2 * starts);  // both signs
    for (std::size_t c = 0; c < sizes.size(); ++c) {
      for (std::size_t i = 0; i < starts; ++i) {
        runs[i].push_back(std::max(effects[row][sizes.size() + c][i], kNothing));
        runs[starts + i].push_back(std::max(effects[row][sizes.size() - 1 - c][i], kNothing));
      }
    }
    chart.series.push_back(spread_series(std::string(kRows[row]), sizes, runs));
    chart.series.back().colour = colour_of(kRows[row]);
    ends.push_back(fmt::format("{} for {}", end_in_words(chart.series.back(), 2), kRows[row]));
  }
  return {
      .id = "shift",
      .title = "What adding c·1 to the scores changes",
      .caption = fmt::format("With |c| = 1000 the change is {}.", fmt::join(ends, ", ")),
      .alternative = fmt::format("Largest change of weights, alignments and values against the size of the shift. With "
                                 "|c| = 1000 it is {}.",
                                 fmt::join(ends, ", ")),
      .spec = report::series_chart(chart),
      .table = report::table_of(chart)};
}

struct Shown {
  std::vector<double> t;
  std::array<std::vector<std::vector<double>>, kLosses.size()> drift;
};

report::Figure drift_figure(const Shown& shown, double travelled) {
  report::SeriesChart chart{.x = {.title = "time t", .scale = report::Scale::kLog},
                            .y = {.title = "largest |1ᵀa − 1ᵀa₀| so far", .scale = report::Scale::kLog},
                            .series = {},
                            .references = {}};
  double furthest = 0.0;
  for (std::size_t l = 0; l < kLosses.size(); ++l) {
    chart.series.push_back(spread_series(std::string(flow::loss_name(kLosses[l])), shown.t, shown.drift[l]));
    furthest = std::max(furthest, chart.series.back().high.back());
  }
  return {.id = "drift",
          .title = "The sum of the scores",
          .caption = fmt::format("It has drifted by at most {} at the end, while single scores travel by up to {}.",
                                 significant(furthest, 2), significant(travelled, 2)),
          .alternative = fmt::format("Absolute drift of the sum of scores against time for four losses: at most {}.",
                                     significant(furthest, 2)),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 4'167 : 200;
  const std::int64_t flows = context.paper() ? 20 : 2;
  const std::int64_t starts = context.paper() ? 400 : 24;
  CheckedEnsemble ensemble(context, {kSum},
                           static_cast<std::int64_t>(kLosses.size() * kSizes.size() * kScales.size()) * (each + flows));
  Shown shown;
  std::vector<double> travelled;
  std::mutex mutex;  // guards shown and travelled
  for (std::size_t l = 0; l < kLosses.size(); ++l) {
    Setting like{.loss = kLosses[l]};
    like.start.score_scale = 1.0;
    const std::vector<Setting> settings = settings_of(like, kSizes, kScales);
    ensemble.descend(settings, each, {.step = kStep, .steps = kSteps, .samples = {}, .progress = {}},
                     [&](std::size_t, std::int64_t i, const flow::Trajectory& t) {
                       if (i >= 20) return;  // enough for a figure
                       const int k = t.problem.tokens;
                       std::vector<double> drift;
                       double furthest = 0.0;
                       for (std::size_t n = 0; n < t.points(); ++n) {
                         double sum = 0.0;
                         for (int j = 0; j < k; ++j) {
                           const double moved = t.scores[n * k + j] - t.scores[j];
                           sum += moved;
                           furthest = std::max(furthest, std::abs(moved));
                         }
                         drift.push_back(std::max(std::abs(sum), drift.empty() ? kNothing : drift.back()));
                       }
                       const std::lock_guard lock(mutex);
                       shown.t = t.t;
                       shown.drift[l].push_back(std::move(drift));
                       travelled.push_back(furthest);
                     });
    ensemble.integrate(settings, flows, {.until = 100.0, .times = {}, .events = false, .progress = {}});
  }
  ensemble.finish();

  const Effects effects = effects_of_shifts(context, starts);
  std::vector<double> softmax;
  std::array<Spread, kRows.size()> at_one{};
  for (const auto& effect : effects[0]) softmax.insert(softmax.end(), effect.begin(), effect.end());
  const std::size_t one = std::find(kShifts.begin(), kShifts.end(), 1.0) - kShifts.begin();
  for (std::size_t row = 0; row < kRows.size(); ++row) at_one[row] = spread_of(effects[row][one]);
  const Spread unchanged = spread_of(softmax);

  report::Section section;
  section.method = fmt::format(
      "Softmax with all four losses, a₀ = N(0, 1), d = k in {{2, 8, 16}}, V₀ = 0.1 and 1·N(0, 1): {} gradient descents "
      "of {} steps of {}, and {} flows. For the shift {} starts (d = k = 8) are descended again from a₀ + c·1, "
      "|c| from 1 to 1000, also with re-weightings that are not shift-invariant.",
      counted(each * static_cast<long long>(kLosses.size() * kSizes.size() * kScales.size())), counted(kSteps), kStep,
      counted(flows * static_cast<long long>(kLosses.size() * kSizes.size() * kScales.size())), starts);
  section.findings = fmt::format(
      "1ᵀa is conserved with {} violations, while single scores move by up to {}. Adding c·1 changes σ, u and V by at "
      "most {} under softmax, whatever the loss; the same with c = 1 changes them by {} under sigmoid/sum and {} under "
      "elu1/sum.",
      counted(ensemble.count(kSum).violations), significant(spread_of(travelled).high, 2),
      significant(unchanged.high, 2), in_words(at_one[1], "starts", 2), in_words(at_one[2], "starts", 2));
  section.claims = {
      claim("A.lemD.1/shift", "Adding c·1 to a changes nothing.", "Lemma D.1",
            "σ, u and V change by less than 1e-9 for every start, loss and c up to 1000 (rounding of a + c)", unchanged,
            "descents", unchanged.high < kUnchanged, "shift"),
      ensemble.claim(kSum, "Lemma D.1", "drift"),
  };
  const std::array<std::string_view, 1> checks{kSum};
  section.figures = {shift_figure(effects), drift_figure(shown, spread_of(travelled).high),
                     ensemble.figure("margins", checks)};
  section.configuration = {{"model", "value-softmax"},
                           {"loss", "logistic, square, least-squares, kl"},
                           {"re-weighting", "softmax; sigmoid/sum and elu1/sum for contrast"},
                           {"d = k", "2, 8, 16"},
                           {"V₀", "scale·N(0, 1), scale 0.1, 1"},
                           {"a₀", "N(0, 1) + c"},
                           {"descents a setting", counted(each)},
                           {"step, steps", fmt::format("{}, {}", kStep, kSteps)},
                           {"flows a setting", counted(flows)},
                           {"shifted starts", counted(starts)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper()) {
    section.differences =
        "4 800 descents, 48 flows and 24 shifted starts where the paper preset takes 100 008, 480 and 400.";
  }
  return section;
}

}  // namespace

Experiment a_lem_d_1() {
  return {.id = "A.lemD.1",
          .title = "Softmax flows do not see a constant, and conserve the sum of scores",
          .source = "Polarisation paper, lemma D.1",
          .question = "Does adding a constant to the scores change anything, and is their sum conserved?",
          .run = run};
}

}  // namespace polariscope::experiments
