// polariscope forecast: with what probability a training collapses, from its first tenth.
#include "polariscope/sweep/forecast.h"

#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/sweep/forecast_table.h"
#include "settings.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

namespace polariscope::cli {
namespace {

struct ForecastSettings {
  std::vector<std::string> runs;
  std::string fit;
  bool json = false;
};

std::vector<sweep::ForecastRun> read_runs(const std::string& place) {
  std::vector<sweep::ForecastRun> runs;
  for (const std::filesystem::path& folder : sweep::runs_at(place)) runs.push_back(sweep::read_forecast_run(folder));
  return runs;
}

// Throws Error for a run whose log does not reach through its first tenth.
void require_signs(const sweep::ForecastRun& run) {
  const auto fewest = static_cast<std::int64_t>(runs::kFewestEarlySteps);
  if (run.window < fewest) {
    throw Error("{}: a tenth of its steps is {}, a forecast needs at least {}", run.folder.string(), run.window,
                fewest);
  }
  if (run.has_signs()) return;
  throw Error("{} has logged {} of the {} steps that are its first tenth: a forecast needs all of them",
              run.folder.string(), run.read, run.window);
}

int run(const ForecastSettings& s) {
  const sweep::ForecastFit fit = sweep::fit_forecast(read_runs(s.fit));
  std::vector<sweep::RunForecast> forecasts;
  for (const std::string& place : s.runs) {
    for (sweep::ForecastRun& one : read_runs(place)) {
      require_signs(one);
      const double probability = fit.model.probability(one.signs);
      forecasts.push_back({.run = std::move(one), .probability = probability});
    }
  }
  if (s.json) {
    fmt::print("{}\n", sweep::forecasts_as_json(fit, forecasts));
  } else {
    fmt::print("{}", sweep::forecasts_in_words(fit, forecasts));
  }
  return 0;
}

}  // namespace

Command add_forecast(CLI::App& app) {
  CLI::App* command = app.add_subcommand("forecast", "Tell from a training's first tenth whether it will collapse");
  auto settings = std::make_shared<ForecastSettings>();
  command->add_option("runs", settings->runs, "Folders of runs, at work or ended; none: tell how good the forecast is")
      ->type_name("FOLDER");
  command
      ->add_option("--fit", settings->fit, "Folder of runs that have ended, a sweep's say, of several seeds: to fit on")
      ->type_name("FOLDER")
      ->required();
  command->add_flag("--json", settings->json, "Print the same as JSON");
  command->footer(
      "A run has collapsed if an alarm was given or a number was not finite (polariscope train tells both). A ridge\n"
      "logistic regression is fitted on what the first tenth of each run's log says; how good it is is told on each\n"
      "seed's runs by a fit on those of the other seeds. Exit codes: 0, 2 for a mistake.\n"
      "Examples:\n"
      "  polariscope sweep run regression-forecast --out sweep\n"
      "  polariscope forecast --fit sweep\n"
      "  polariscope forecast run --fit sweep");
  return [settings, command] {
    require_values(*command);
    return run(*settings);
  };
}

}  // namespace polariscope::cli
