// From the first tenth of a training, with what probability it collapses later: fitted on runs that have ended, judged
// on seeds that the fit has not seen.
#pragma once

#include "polariscope/sweep/forecast_runs.h"
#include "polariscope/sweep/logistic.h"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace polariscope::sweep {

// Runs whose forecast lay in a fifth of [0, 1].
struct ForecastBin {
  std::size_t runs = 0;
  double forecast = 0.0, collapsed = 0.0;  // means; 0 of no runs
};

// How good forecasts are. Brier: the mean of (forecast - outcome)², which the base rate has as well, the share of
// collapsed runs among those of the other seeds.
struct ForecastSkill {
  double brier = 0.0, base_brier = 0.0;
  double gain_error = 0.0;  // standard error, over runs, of base_brier - brier
  double auc = 0.5;         // that a run that collapsed has a higher forecast than one that held, ties by half
  std::array<ForecastBin, 5> bins{};

  // Whether the gain is above two standard errors.
  bool is_better_than_base_rate() const { return base_brier - brier > 2.0 * gain_error; }
};

// outcomes: at least one of each; of one length.
ForecastSkill skill_of(std::span<const double> forecasts, std::span<const double> base_rates,
                       const std::vector<bool>& outcomes);

struct ForecastFit {
  Logistic model;          // on all runs
  ForecastSkill held_out;  // of fits without the seed that they forecast
  std::size_t runs = 0, collapsed = 0, seeds = 0;
  std::size_t early = 0, left_out = 0;  // collapsed in their first tenth; not ended, or too short for one
};

// Throws Error for runs of fewer than two seeds, and where all of them, or all without one of the seeds, ended alike.
ForecastFit fit_forecast(std::span<const ForecastRun> runs);

}  // namespace polariscope::sweep
