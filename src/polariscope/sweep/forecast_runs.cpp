#include "polariscope/sweep/forecast_runs.h"

#include "polariscope/base/config.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/runs/settings.h"
#include "polariscope/runs/watched_steps.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <system_error>

namespace polariscope::sweep {
namespace {

namespace fs = std::filesystem;

bool is_run(const fs::path& folder) {
  std::error_code unknown;
  return fs::exists(folder / "config.toml", unknown) && fs::exists(folder / "metrics.jsonl", unknown);
}

void collect(const fs::path& folder, int depth, std::vector<fs::path>& found) {
  if (is_run(folder)) {
    found.push_back(folder);
    return;
  }
  std::error_code failed;
  if (depth == 0) return;
  std::vector<fs::path> below;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    std::error_code unknown;
    if (entry->is_directory(unknown) && !entry->is_symlink(unknown)) below.push_back(entry->path());
  }
  std::ranges::sort(below);
  for (const fs::path& one : below) collect(one, depth - 1, found);
}

// A sweep writes what its grid says, `train` every option; both are complete with the table's defaults.
runs::Settings settings_of(const fs::path& config) {
  runs::NamedValues given;
  const Config read = Config::read(config);
  for (const auto& [key, entry] : read.entries()) {
    std::string name = key;
    std::ranges::replace(name, '-', '_');
    const runs::Option* option = runs::find_option(runs::defining_options(), name);
    if (option != nullptr) given.push_back({name, runs::checked(*option, entry.value, config.string() + ": " + key)});
  }
  if (given.empty()) throw Error("{}: expected the options of a training, found none", config.string());
  return runs::Settings(given);
}

std::int64_t planned_steps(const runs::Settings& settings) {
  std::int64_t steps = 0, epochs = 0, sequences = 0, batch = 1;
  settings.read("steps", steps);
  if (steps > 0) return steps;
  settings.read("epochs", epochs);
  settings.read("training_sequences", sequences);
  settings.read("batch", batch);
  return epochs * ((sequences + batch - 1) / batch);
}

RunOutcome outcome_of(const fs::path& folder, std::int64_t window) {
  const fs::path path = folder / "result.json";
  if (!fs::exists(path)) return RunOutcome::kUnknown;
  try {
    const auto result = nlohmann::json::parse(read_file(path));
    const bool diverged = result.at("diverged").get<bool>();
    const std::int64_t alarms = result.at("alarms"), finite = result.at("last_finite_step");
    if (!diverged && alarms == 0 && result.value("rescues", 0) == 0) return RunOutcome::kHeld;
    const bool early = finite < window || (alarms > 0 && result.at("first_alarm_step") <= window);
    return early || result.value("rescues", 0) > 0 ? RunOutcome::kEarly : RunOutcome::kCollapsed;
  } catch (const nlohmann::json::exception&) {
    throw Error("{}: expected the result of a training with diverged, alarms and last_finite_step", path.string());
  }
}

}  // namespace

std::string_view outcome_name(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::kUnknown: return "";
    case RunOutcome::kHeld: return "held";
    case RunOutcome::kCollapsed: return "collapsed";
    case RunOutcome::kEarly: return "collapsed early";
  }
  return "";
}

std::vector<fs::path> runs_at(const fs::path& place) {
  constexpr int kDepth = 3;
  std::vector<fs::path> found;
  collect(place, kDepth, found);
  if (found.empty()) {
    throw Error(
        "{} holds no runs: expected folders with config.toml and metrics.jsonl, as `polariscope train` and "
        "sweeps leave them",
        place.string());
  }
  return found;
}

ForecastRun read_forecast_run(const fs::path& folder) {
  const runs::Settings settings = settings_of(folder / "config.toml");
  ForecastRun run{.folder = folder, .seed = settings.get<std::int64_t>("seed"), .window = planned_steps(settings) / 10};
  std::vector<runs::WatchedStep> steps;
  runs::for_each_watched_step(folder / "metrics.jsonl", [&](const runs::WatchedStep& step) {
    if (step.step <= run.window) steps.push_back(step);
    return step.step < run.window;
  });
  run.read = std::ssize(steps);
  run.outcome = outcome_of(folder, run.window);
  if (run.has_signs()) run.signs = runs::early_signs(steps, settings.get<double>("learning_rate"));
  return run;
}

}  // namespace polariscope::sweep
