#include "polariscope/sweep/forecast_table.h"

#include "polariscope/base/terminal.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace polariscope::sweep {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

constexpr int kDigits = 3;

std::string percent(double share) { return fmt::format("{:.0f} %", 100.0 * share); }

std::string calibration_in_words(const ForecastSkill& skill) {
  Rows rows{{"forecast", "runs", "mean forecast", "collapsed"}};
  for (std::size_t i = 0; i < skill.bins.size(); ++i) {
    const ForecastBin& bin = skill.bins[i];
    const auto bound = [&](std::size_t at) { return 100 * at / skill.bins.size(); };
    rows.push_back({fmt::format("{} to {} %", bound(i), bound(i + 1)), fmt::format("{}", bin.runs),
                    bin.runs > 0 ? percent(bin.forecast) : "", bin.runs > 0 ? percent(bin.collapsed) : ""});
  }
  return aligned_table(rows);
}

// The heaviest first.
std::string weights_in_words(const Logistic& model) {
  std::vector<std::size_t> order(model.weights().size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return std::abs(model.weights()[i]); });
  Rows rows{{"sign, in the first tenth", "log odds for one standard deviation"}};
  for (const std::size_t i : order) {
    rows.push_back({std::string(runs::kEarlySigns.at(i)), fmt::format("{:+.2f}", model.weights()[i])});
  }
  return aligned_table(rows);
}

std::string skill_in_words(const ForecastSkill& skill) {
  return fmt::format(
      "on seeds that it was not fitted on: Brier score {} against {} of the base rate, better by {} ± {}; "
      "AUC {}\n{}",
      significant(skill.brier, kDigits), significant(skill.base_brier, kDigits),
      significant(skill.base_brier - skill.brier, kDigits), significant(skill.gain_error, 2),
      significant(skill.auc, kDigits),
      skill.is_better_than_base_rate() ? "" : "it is no better than the base rate: do not rely on it\n");
}

}  // namespace

std::string forecasts_in_words(const ForecastFit& fit, std::span<const RunForecast> forecasts) {
  std::string text;
  if (!forecasts.empty()) {
    Rows rows{{"run", "collapses with", "outcome"}};
    for (const RunForecast& one : forecasts) {
      rows.push_back(
          {printable(one.run.folder.string()), percent(one.probability), std::string(outcome_name(one.run.outcome))});
    }
    text = aligned_table(rows) + "\n";
  }
  text += fmt::format("fitted on {} runs of {} seeds, {} of which collapsed behind their first tenth\n", fit.runs,
                      fit.seeds, fit.collapsed);
  if (fit.early + fit.left_out > 0) {
    text +=
        fmt::format("not on {} that collapsed or were rescued sooner, and {} that have not ended or are too short\n",
                    fit.early, fit.left_out);
  }
  return text + skill_in_words(fit.held_out) + "\n" + calibration_in_words(fit.held_out) + "\n" +
         weights_in_words(fit.model);
}

std::string forecasts_as_json(const ForecastFit& fit, std::span<const RunForecast> forecasts) {
  Json list = Json::array(), weights = Json::object(), calibration = Json::array();
  for (const RunForecast& one : forecasts) {
    const std::string_view outcome = outcome_name(one.run.outcome);
    list.push_back({{"run", one.run.folder.string()},
                    {"seed", one.run.seed},
                    {"probability", one.probability},
                    {"outcome", outcome.empty() ? Json(nullptr) : Json(outcome)}});
  }
  for (std::size_t i = 0; i < runs::kEarlySigns.size(); ++i) {
    weights[std::string(runs::kEarlySigns[i])] = fit.model.weights()[i];
  }
  for (const ForecastBin& bin : fit.held_out.bins) {
    calibration.push_back({{"runs", bin.runs},
                           {"forecast", bin.runs > 0 ? Json(bin.forecast) : Json(nullptr)},
                           {"collapsed", bin.runs > 0 ? Json(bin.collapsed) : Json(nullptr)}});
  }
  const Json whole{{"forecasts", list},
                   {"fit",
                    {{"runs", fit.runs},
                     {"collapsed", fit.collapsed},
                     {"seeds", fit.seeds},
                     {"early", fit.early},
                     {"left_out", fit.left_out},
                     {"weights", weights}}},
                   {"held_out",
                    {{"brier", fit.held_out.brier},
                     {"base_brier", fit.held_out.base_brier},
                     {"gain_error", fit.held_out.gain_error},
                     {"auc", fit.held_out.auc},
                     {"better_than_base_rate", fit.held_out.is_better_than_base_rate()},
                     {"calibration", calibration}}}};
  return whole.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace polariscope::sweep
