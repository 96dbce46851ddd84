#include "polariscope/experiments/shared/training_sweep.h"

#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"
#include "polariscope/runs/options.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/sweep/local_workers.h"
#include "polariscope/sweep/retry.h"
#include "polariscope/sweep/shipped_grids.h"
#include "polariscope/sweep/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

// Seconds that a grid's mean training took: the table of docs/sweeps.md, which says on what.
struct Cost {
  std::string_view grid;
  double seconds;
};
constexpr std::array kCosts{
    Cost{"induction", 420.0},        Cost{"induction-quick", 5.9},   Cost{"token-groups", 17.0},
    Cost{"token-groups-quick", 1.2}, Cost{"regression", 95.0},       Cost{"regression-quick", 0.9},
    Cost{"regression-alarm", 0.8},   Cost{"regression-rescue", 0.7}, Cost{"regression-forecast", 0.4},
    Cost{"language", 9e7},           Cost{"language-small", 72.0},   Cost{"language-quick", 36.0}};

// Seconds; nothing for a grid that has none.
std::optional<double> cost_of(std::string_view grid) {
  const auto cost = std::ranges::find(kCosts, grid, &Cost::grid);
  return cost == kCosts.end() ? std::nullopt : std::optional(cost->seconds);
}

sweep::Grid grid_of(const TrainingSweep& sweep) {
  return sweep::find_grid(sweep.grid, runs::defining_options()).with_seeds_from(sweep.first_seed);
}

// Every setting of a grid's runs with its values, in the order of the grid.
using Axes = std::map<std::string, std::vector<json>>;
Axes axes_of(const sweep::Grid& grid) {
  Axes axes;
  for (const sweep::GridRun& run : grid.runs()) {
    const json settings = json::parse(grid.json_of(run));
    for (const auto& [key, value] : settings.items()) {
      std::vector<json>& values = axes[key];
      if (std::ranges::find(values, value) == values.end()) values.push_back(value);
    }
  }
  return axes;
}

std::string in_words(const std::vector<json>& values) {
  std::vector<std::string> words;
  for (const json& value : values) words.push_back(value.is_string() ? value.get<std::string>() : value.dump());
  return listed(words);
}

// "width 64 for 128", "attention without uniform".
std::string axis_cut(const std::string& key, const std::vector<json>& quick, const std::vector<json>& paper) {
  std::vector<json> missing;
  std::ranges::copy_if(paper, std::back_inserter(missing),
                       [&](const json& value) { return std::ranges::find(quick, value) == quick.end(); });
  const bool only_less = quick.size() + missing.size() == paper.size();
  if (only_less && missing.empty()) return "";
  if (only_less && missing.front().is_string()) return fmt::format("{} without {}", key, in_words(missing));
  return fmt::format("{} {} for {}", key, in_words(quick), in_words(paper));
}

}  // namespace

std::string grid_cuts(std::string_view trainings, Preset preset) {
  const std::string quick_name = grid_of(trainings, preset), paper_name = grid_of(trainings, Preset::kPaper);
  if (quick_name == paper_name) return "";
  const sweep::Grid quick = sweep::find_grid(quick_name, runs::defining_options()),
                    paper = sweep::find_grid(paper_name, runs::defining_options());
  const Axes of_quick = axes_of(quick), of_paper = axes_of(paper);
  std::vector<std::string> words;
  for (const auto& [key, values] : of_quick) {
    if (!of_paper.contains(key)) continue;
    if (std::string cut = axis_cut(key, values, of_paper.at(key)); !cut.empty()) words.push_back(std::move(cut));
  }
  return fmt::format("{} trainings where the paper preset takes {}: {}.",
                     counted(static_cast<long long>(quick.runs().size())),
                     counted(static_cast<long long>(paper.runs().size())), fmt::join(words, "; "));
}

std::string grid_of(std::string_view trainings, Preset preset) {
  const std::vector<std::string_view> shipped = sweep::shipped_grid_names();
  for (int size = static_cast<int>(preset); size >= 0 && preset != Preset::kPaper; --size) {
    std::string name = fmt::format("{}-{}", trainings, preset_name(static_cast<Preset>(size)));
    if (std::ranges::find(shipped, name) != shipped.end()) return name;
  }
  return std::string(trainings);
}

std::vector<std::vector<std::string>> arguments_of(const TrainingSweep& sweep) {
  std::vector<std::vector<std::string>> all;
  const sweep::Grid grid = grid_of(sweep);
  for (const sweep::GridRun& run : grid.runs()) {
    std::vector<std::string>& words = all.emplace_back();
    const json settings = json::parse(grid.json_of(run));
    for (const auto& [key, value] : settings.items()) {
      std::string flag = "--" + key;
      std::ranges::replace(flag, '_', '-');
      words.push_back(std::move(flag));
      words.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return all;
}

std::string trainings_of(std::string_view task) {
  return std::string(task == "in-context-regression" ? "regression" : task == "language-model" ? "language" : task);
}

bool trains_transformers(const TrainingSweep& sweep) { return grid_of(sweep).trains_transformers(); }

std::string announcement(const TrainingSweep& sweep) {
  const auto runs = static_cast<double>(grid_of(sweep).runs().size());
  const std::optional<double> cost = cost_of(sweep.grid);
  const std::string length = cost ? fmt::format("about {} at {} each, as measured on one core of a server",
                                                long_duration(runs * *cost / sweep.jobs), long_duration(*cost))
                                  : "how long they take is not known";
  return fmt::format("{}: {} trainings, {} at once: {}; what is done stays done", sweep.grid, runs, sweep.jobs, length);
}

int forget_others(const TrainingSweep& sweep) {
  return sweep::put_back_others(sweep.folder, runs::program_fingerprint(sweep.program));
}

double time_limit(std::string_view grid) {
  constexpr double kDay = 24 * 3600.0, kSlower = 10.0;
  return std::max(kDay, kSlower * cost_of(grid).value_or(0.0));
}

bool execute(const TrainingSweep& sweep, ProgressBoard& board) {
  sweep::LocalWorkers workers(
      {.program = {sweep.program.string(), "train", "--threads", "1"}, .limit = time_limit(sweep.grid)}, sweep.jobs);
  return !sweep::run_sweep(grid_of(sweep), sweep.folder, {}, workers, board).interrupted;
}

}  // namespace polariscope::experiments
