#include "polariscope/experiments/shared/trained_runs.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/settings.h"
#include "polariscope/sweep/rows.h"
#include "polariscope/sweep/shard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

constexpr std::size_t kMostLinks = 300;

// The grid says what it varies; a run also has the defaults of the rest.
json complete_settings(const json& of_grid) {
  runs::NamedValues given;
  for (const auto& [name, value] : of_grid.items()) {
    if (value.is_boolean()) {
      given.push_back({name, value.get<bool>()});
    } else if (value.is_number_integer()) {
      given.push_back({name, value.get<std::int64_t>()});
    } else if (value.is_number()) {
      given.push_back({name, value.get<double>()});
    } else {
      given.push_back({name, value.get<std::string>()});
    }
  }
  json settings = of_grid;
  for (const runs::NamedValue& one : runs::with_defaults(runs::defining_options(), given)) {
    std::visit([&](const auto& value) { settings[one.name] = value; }, one.value);
  }
  return settings;
}

std::string in_words(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// ", each on one thread", as their results say; "" of those that do not.
std::string threads_in_words(const std::vector<TrainedRun>& runs) {
  std::vector<std::string> different;
  for (const TrainedRun& run : runs) {
    if (!run.metrics.contains("threads")) continue;
    const json& threads = run.metrics.at("threads");
    std::string text = threads.is_string() ? threads.get<std::string>() : threads.dump();
    if (std::ranges::find(different, text) == different.end()) different.push_back(std::move(text));
  }
  if (different.empty()) return "";
  if (different.size() == 1 && different.front() == "1") return ", each on one thread";
  return fmt::format(", each on {} threads", fmt::join(different, " or "));
}

}  // namespace

double TrainedRun::metric(const char* name) const {
  const auto found = metrics.find(name);
  const bool number = found != metrics.end() && found->is_number();
  return number ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

bool TrainedRun::learned() const { return metric("accuracy") > kLearned; }

int TrainedRun::whole_setting(const char* name) const {
  const auto found = settings.find(name);
  if (found == settings.end() || !found->is_number_integer()) {
    throw Error("{}: its settings have no whole number {}", folder.string(), name);
  }
  return found->get<int>();
}

json TrainedRun::heads() const { return json::parse(read_file(folder / "heads.json")); }

TrainedRuns::TrainedRuns(const Context& context) {
  const std::filesystem::path folder = context.out / context.sweep;
  for (const sweep::SweepRow& row : sweep::read_rows(folder)) {
    ++planned_;
    failed_ += row.state == "failed" ? 1 : 0;
    if (row.state != "done") continue;
    done_.push_back({.folder = sweep::run_path(folder, row.run),
                     .link = sweep::run_path(context.sweep, row.run).generic_string(),
                     .settings = complete_settings(json::parse(row.settings)),
                     .metrics = json::parse(row.metrics),
                     .seconds = row.seconds});
  }
}

std::vector<TrainedRun> TrainedRuns::where(const json& settings) const {
  std::vector<TrainedRun> found;
  for (const TrainedRun& run : done_) {
    bool fits = true;
    for (const auto& [name, value] : settings.items()) {
      fits &= value.is_null() || run.settings.value(name, json()) == value;
    }
    if (fits) found.push_back(run);
  }
  return found;
}

std::vector<json> TrainedRuns::values_of(const char* setting) const {
  std::vector<json> values;
  for (const TrainedRun& run : done_) {
    json value = run.settings.value(setting, json());
    if (std::ranges::find(values, value) == values.end()) values.push_back(std::move(value));
  }
  return values;
}

std::vector<std::string> TrainedRuns::attentions() const {
  std::vector<std::string> names;
  for (const json& value : values_of("attention")) names.push_back(value.get<std::string>());
  return names;
}

std::vector<json> TrainedRuns::combinations(std::initializer_list<const char*> settings, const json& others) const {
  std::vector<json> combined{others};
  for (const char* setting : settings) {
    std::vector<json> longer;
    for (const json& begun : combined) {
      for (const json& value : values_of(setting)) {
        json more = begun;
        more[setting] = value;
        if (!where(more).empty()) longer.push_back(std::move(more));
      }
    }
    combined = std::move(longer);
  }
  return combined;
}

std::string TrainedRuns::count_in_words() const {
  double seconds = 0.0;
  for (const TrainedRun& run : done_) seconds += run.seconds;
  std::string text = fmt::format("{} of {} trainings are done{}, which took {} together", done_.size(), planned_,
                                 threads_in_words(done_), duration(seconds));
  if (failed_ > 0) text += fmt::format(", {} failed (their database says why)", failed_);
  return text + ".";
}

std::vector<TrainedRun> learned(const std::vector<TrainedRun>& runs) {
  std::vector<TrainedRun> found;
  std::ranges::copy_if(runs, std::back_inserter(found), &TrainedRun::learned);
  return found;
}

std::vector<double> metrics_of(const std::vector<TrainedRun>& runs, const char* name) {
  std::vector<double> values;
  for (const TrainedRun& run : runs) values.push_back(run.metric(name));
  return values;
}

std::vector<std::pair<std::string, std::string>> links_of(const std::vector<TrainedRun>& runs) {
  std::vector<std::pair<std::string, std::string>> links;
  for (const TrainedRun& run : runs) {
    if (links.size() == kMostLinks) break;
    links.emplace_back(fmt::format("{}, seed {}", run.attention(), in_words(run.settings.at("seed"))), run.link);
  }
  return links;
}

std::vector<std::pair<std::string, std::string>> configuration_of(const TrainedRuns& runs) {
  std::vector<std::pair<std::string, std::string>> configuration;
  if (runs.done().empty()) return configuration;
  for (const auto& [name, first] : runs.done().front().settings.items()) {
    std::string values;
    for (const json& value : runs.values_of(name.c_str())) values += (values.empty() ? "" : ", ") + in_words(value);
    configuration.emplace_back(name, std::move(values));
  }
  return configuration;
}

}  // namespace polariscope::experiments
