#include "polariscope/sweep/grid.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/runs/settings.h"
#include "polariscope/sweep/internal/grid_file.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace polariscope::sweep {
namespace {

constexpr double kMostPoints = 1e7;        // before skips: the time to walk through them
constexpr std::size_t kMostRuns = 99'999;  // their folders have names of five digits

bool leaves_out(const Skip& skip, const std::vector<GridAxis>& axes, const std::vector<ConfigValue>& values) {
  return std::ranges::all_of(skip, [&](const GridAxis& skipped) {
    const auto axis = std::ranges::find(axes, skipped.key, &GridAxis::key);
    const ConfigValue& value = values[static_cast<std::size_t>(axis - axes.begin())];
    return std::ranges::find(skipped.values, value) != skipped.values.end();
  });
}

// Counts through all combinations as an odometer does, the last axis fastest.
std::vector<GridRun> runs_of(const std::vector<GridAxis>& axes, const std::vector<Skip>& skips,
                             std::string_view where) {
  double points = 1.0;
  for (const GridAxis& axis : axes) points *= static_cast<double>(axis.values.size());
  if (points > kMostPoints)
    throw Error("{}: the grid has {:g} points, at most {:g} can be handled", where, points, kMostPoints);
  std::vector<GridRun> runs;
  std::vector<std::size_t> at(axes.size(), 0);
  for (bool more = true; more;) {
    GridRun run;
    for (std::size_t i = 0; i < axes.size(); ++i) run.values.push_back(axes[i].values[at[i]]);
    const bool left_out = std::ranges::any_of(skips, [&](const Skip& s) { return leaves_out(s, axes, run.values); });
    if (!left_out) {
      if (runs.size() == kMostRuns) throw Error("{}: the grid has more than {} runs: split it", where, kMostRuns);
      run.number = static_cast<int>(runs.size()) + 1;
      runs.push_back(std::move(run));
    }
    std::size_t i = axes.size();
    while (i > 0 && ++at[i - 1] == axes[i - 1].values.size()) at[--i] = 0;
    more = i > 0;
  }
  if (runs.empty()) throw Error("{}: the grid has no runs: [[skip]] leaves out all of them", where);
  return runs;
}

// Such a run would be trained as another one of the grid is, under another name.
void refuse_without_meaning(const std::vector<GridAxis>& axes, const std::vector<GridRun>& runs,
                            std::span<const runs::Option> known, std::string_view where) {
  for (const GridRun& run : runs) {
    runs::NamedValues settings;
    for (std::size_t i = 0; i < axes.size(); ++i) settings.push_back({axes[i].key, run.values[i]});
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const runs::Option& option = *runs::find_option(known, axes[i].key);
      const std::string why = runs::objection(known, option, run.values[i], settings);
      if (why.empty()) continue;
      throw Error("{}, line {}: {}{}: leave it out, or such runs with [[skip]]", where, axes[i].line, axes[i].key, why);
    }
  }
}

std::string line_of(const GridAxis& axis) {
  std::vector<std::string> texts;
  for (const ConfigValue& value : axis.values) texts.push_back(toml_text(value));
  if (texts.size() == 1) return fmt::format("{} = {}\n", axis.key, texts.front());
  return fmt::format("{} = [{}]\n", axis.key, fmt::join(texts, ", "));
}

}  // namespace

Grid Grid::read(const std::filesystem::path& path, std::span<const runs::Option> known) {
  return parse(read_file(path), path.string(), known);
}

Grid Grid::parse(std::string_view toml, std::string_view where, std::span<const runs::Option> known) {
  Grid grid;
  GridFile file = parse_grid(toml, where, known);
  if (file.axes.empty()) throw Error("{}: the grid sets nothing: give it settings of a run, and lists of them", where);
  grid.axes_ = std::move(file.axes);
  grid.skips_ = std::move(file.skips);
  grid.runs_ = runs_of(grid.axes_, grid.skips_, where);
  refuse_without_meaning(grid.axes_, grid.runs_, known, where);
  return grid;
}

Grid Grid::with_seeds_from(std::int64_t first) const {
  Grid moved = *this;
  const auto move = [first](std::vector<GridAxis>& axes) {
    for (GridAxis& axis : axes) {
      if (axis.key != "seed") continue;
      for (ConfigValue& value : axis.values) std::get<std::int64_t>(value) += first;
    }
  };
  move(moved.axes_);
  for (Skip& skip : moved.skips_) move(skip);
  moved.runs_ = runs_of(moved.axes_, moved.skips_, "the grid");
  return moved;
}

std::string Grid::text() const {
  std::string text;
  for (const GridAxis& axis : axes_) text += line_of(axis);
  for (const Skip& skip : skips_) {
    text += "[[skip]]\n";
    for (const GridAxis& axis : skip) text += line_of(axis);
  }
  return text;
}

std::string Grid::config_of(const GridRun& run) const {
  std::string text;
  for (std::size_t i = 0; i < axes_.size(); ++i) text += line_of({axes_[i].key, {run.values[i]}});
  return text;
}

bool Grid::trains_transformers() const {
  const auto tasks = std::ranges::find(axes_, "task", &GridAxis::key);
  if (tasks == axes_.end()) return true;  // the default, induction
  const auto axis = tasks - axes_.begin();
  return std::ranges::any_of(
      runs_, [&](const GridRun& run) { return runs::trains_transformer(std::get<std::string>(run.values[axis])); });
}

std::string Grid::json_of(const GridRun& run) const {
  nlohmann::ordered_json object;
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    std::visit([&](const auto& value) { object[axes_[i].key] = value; }, run.values[i]);
  }
  return object.dump();
}

}  // namespace polariscope::sweep
