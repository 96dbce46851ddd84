#include "polariscope/sweep/forecast.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace polariscope::sweep {
namespace {

Example example_of(const ForecastRun& run) {
  return {.signs = {run.signs.begin(), run.signs.end()}, .outcome = run.outcome == RunOutcome::kCollapsed};
}

double share_of(std::span<const Example> examples) {
  return static_cast<double>(std::ranges::count(examples, true, &Example::outcome)) /
         static_cast<double>(examples.size());
}

bool ended_alike(std::span<const Example> examples) {
  const double share = examples.empty() ? 0.0 : share_of(examples);
  return share == 0.0 || share == 1.0;
}

using BySeed = std::map<std::int64_t, std::vector<Example>>;

std::vector<Example> all_but(const BySeed& seeds, std::int64_t left_out) {
  std::vector<Example> others;
  for (const auto& [seed, examples] : seeds) {
    if (seed != left_out) others.insert(others.end(), examples.begin(), examples.end());
  }
  return others;
}

ForecastSkill held_out(const BySeed& seeds) {
  std::vector<double> forecasts, base_rates;
  std::vector<bool> outcomes;
  for (const auto& [seed, examples] : seeds) {
    const std::vector<Example> others = all_but(seeds, seed);
    if (ended_alike(others)) {
      throw Error("without seed {} all {} runs ended alike: a forecast is fitted on more seeds of both outcomes", seed,
                  others.size());
    }
    const Logistic model = Logistic::fit(others);
    for (const Example& one : examples) {
      forecasts.push_back(model.probability(one.signs));
      base_rates.push_back(share_of(others));
      outcomes.push_back(one.outcome);
    }
  }
  return skill_of(forecasts, base_rates, outcomes);
}

double auc_of(std::span<const double> forecasts, const std::vector<bool>& outcomes) {
  double won = 0.0, pairs = 0.0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    for (std::size_t j = 0; j < outcomes.size(); ++j) {
      if (!outcomes[i] || outcomes[j]) continue;
      pairs += 1.0;
      won += forecasts[i] > forecasts[j] ? 1.0 : forecasts[i] == forecasts[j] ? 0.5 : 0.0;
    }
  }
  return won / pairs;
}

}  // namespace

ForecastSkill skill_of(std::span<const double> forecasts, std::span<const double> base_rates,
                       const std::vector<bool>& outcomes) {
  ForecastSkill skill;
  const auto count = static_cast<double>(outcomes.size());
  double gains = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const double outcome = outcomes[i] ? 1.0 : 0.0, off = forecasts[i] - outcome, base_off = base_rates[i] - outcome;
    skill.brier += off * off / count;
    skill.base_brier += base_off * base_off / count;
    const double gain = base_off * base_off - off * off;
    gains += gain;
    squares += gain * gain;
    const auto bins = static_cast<double>(skill.bins.size());
    ForecastBin& bin = skill.bins[static_cast<std::size_t>(std::min(forecasts[i] * bins, bins - 1.0))];
    ++bin.runs;
    bin.forecast += forecasts[i];
    bin.collapsed += outcome;
  }
  for (ForecastBin& bin : skill.bins) {
    const auto runs = static_cast<double>(std::max<std::size_t>(bin.runs, 1));
    bin.forecast /= runs;
    bin.collapsed /= runs;
  }
  const double mean = gains / count;
  skill.gain_error = std::sqrt(std::max(squares / count - mean * mean, 0.0) / std::max(count - 1.0, 1.0));
  skill.auc = auc_of(forecasts, outcomes);
  return skill;
}

ForecastFit fit_forecast(std::span<const ForecastRun> runs) {
  ForecastFit fit;
  BySeed seeds;
  std::vector<Example> all;
  for (const ForecastRun& run : runs) {
    if (run.outcome == RunOutcome::kEarly) {
      ++fit.early;
    } else if (run.outcome == RunOutcome::kUnknown || !run.has_signs()) {
      ++fit.left_out;
    } else {
      all.push_back(example_of(run));
      seeds[run.seed].push_back(all.back());
    }
  }
  fit.runs = all.size();
  fit.seeds = seeds.size();
  fit.collapsed = static_cast<std::size_t>(std::ranges::count(all, true, &Example::outcome));
  if (ended_alike(all)) {
    throw Error(
        "of {} runs to fit on {} collapsed behind their first tenth: a forecast needs some that did and some "
        "that did not",
        fit.runs, fit.collapsed);
  }
  if (fit.seeds < 2) throw Error("the {} runs to fit on are of one seed: a forecast is judged on another", fit.runs);
  fit.held_out = held_out(seeds);
  fit.model = Logistic::fit(all);
  return fit;
}

}  // namespace polariscope::sweep
