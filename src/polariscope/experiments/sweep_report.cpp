#include "polariscope/experiments/sweep_report.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/report_parts.h"
#include "polariscope/experiments/shared/training_sweep.h"
#include "polariscope/sweep/rows.h"
#include "polariscope/sweep/shipped_grids.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace polariscope::experiments {
namespace {

// Which experiments read the sweep's runs, and the preset if its grid is one that ships.
struct Trainings {
  std::string name;
  std::optional<Preset> preset;
};

Trainings trainings_in(const std::filesystem::path& folder, const std::string& task) {
  const std::string config = read_file(folder / "config.toml");
  for (const Experiment& experiment : catalogue()) {
    if (experiment.trainings.empty()) continue;
    for (const Preset preset : {Preset::kQuick, Preset::kSmall, Preset::kPaper}) {
      const sweep::Grid grid = sweep::find_grid(grid_of(experiment.trainings, preset), runs::defining_options());
      if (config.ends_with(grid.text())) return {std::string(experiment.trainings), preset};
    }
  }
  return {trainings_of(task), std::nullopt};
}

}  // namespace

std::filesystem::path write_sweep_report(const std::filesystem::path& folder) {
  const std::vector<sweep::SweepRow> rows = sweep::read_rows(folder);
  const auto done = std::ranges::count(rows, "done", &sweep::SweepRow::state);
  if (done == 0) {
    throw Error("{}: none of its {} runs is done yet: `polariscope sweep status` tells how they fare", folder.string(),
                rows.size());
  }
  const auto task = nlohmann::json::parse(rows.front().settings).value("task", std::string("induction"));
  const Trainings trainings = trainings_in(folder, task);
  std::vector<const Experiment*> readers;
  for (const Experiment& experiment : catalogue()) {
    if (experiment.trainings == trainings.name) readers.push_back(&experiment);
  }
  if (readers.empty()) throw Error("{}: no experiment reads trainings of the task {}", folder.string(), task);

  report::Page page;
  dress(page, fmt::format("Polariscope: {} of {} trainings of a sweep", done, rows.size()));
  page.preset = trainings.preset ? preset_name(*trainings.preset) : "the sweep's own";
  page.command = fmt::format("polariscope sweep report {}", shell_quoted(folder.string()));
  for (const Experiment* experiment : readers) {
    try {
      // Without a preset there is nothing to compare its sizes with.
      report::Section section = named_section(
          *experiment,
          {.preset = trainings.preset.value_or(Preset::kPaper), .out = folder, .sweep = ".", .progress = {}});
      section.command = page.command;
      page.wall_seconds += section.wall_seconds;
      page.sections.push_back(std::move(section));
    } catch (const Error& error) {
      page.skipped.emplace_back(experiment->id, error.what());
    }
  }
  const std::filesystem::path report = folder / "report.html";
  write_file(report, report::render(page));
  return report;
}

}  // namespace polariscope::experiments
