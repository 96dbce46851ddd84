#include "polariscope/experiments/reproduce.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/experiments/shared/report_parts.h"
#include "polariscope/experiments/shared/training_sweep.h"
#include "polariscope/runs/provenance.h"
#include "polariscope/runs/run_folder.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

namespace polariscope::experiments {
namespace {

namespace fs = std::filesystem;

std::string command_for(const ReproduceOptions& options, const std::vector<std::string>& ids) {
  std::string command = "polariscope reproduce";
  for (const std::string& id : ids) command += " " + id;
  return command + fmt::format(" --preset {} --seed {}", preset_name(options.preset), options.seed);
}

// Nothing where it has to be made again; counts one that another program made among `others`.
std::optional<report::Section> stored_section(const fs::path& path, const std::string& program, int& others) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    const auto stored = nlohmann::json::parse(read_file(path));
    if (stored.at("program") != program) {
      ++others;
      return std::nullopt;
    }
    return stored.at("section").get<report::Section>();
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // not a section of ours: made again
  } catch (const Error&) {
    return std::nullopt;  // likewise
  }
}

// The experiments of one call, and what came of them.
class Reproducer {
 public:
  Reproducer(const ReproduceOptions& options, ProgressBoard& board)
      : options_(options), board_(board), program_(runs::program_fingerprint()) {
    // The theory is checked where nothing trains, too.
    if (fs::exists(options.training_program)) training_program_ = runs::program_fingerprint(options.training_program);
    for (const std::string& id : options.ids) add(find_experiment(id));
    if (options.ids.empty()) {
      for (const Experiment& experiment : catalogue()) add(experiment);
    }
    if (options.jobs < 0)
      throw Error("{} experiments at once: it must be at least 1 (0 takes one per processor)", options.jobs);
    processors_ = options.jobs == 0 ? processor_count() : options.jobs;
  }

  Reproduction run() {
    runs::open_run_folder(options_.out, fmt::format("command = \"reproduce\"\npreset = \"{}\"\nseed = {}\n",
                                                    preset_name(options_.preset), options_.seed));
    std::vector<Item*> alone;
    std::map<std::string_view, std::vector<Item*>> of_grid;
    int others = 0;
    for (Item& item : items_) {
      item.section = stored_section(section_path(*item.experiment), makers_of(*item.experiment), others);
      if (item.section) {
        item.whole = true;
        ++result_.reused;
      } else if (item.experiment->trainings.empty()) {
        alone.push_back(&item);
      } else {
        of_grid[item.experiment->trainings].push_back(&item);
      }
    }
    tell_of_others("", others, "experiment");
    run_all(alone, {});
    for (const auto& [task, items] : of_grid) run_with_trainings(task, items);
    return finish();
  }

 private:
  struct Item {
    const Experiment* experiment;
    std::optional<report::Section> section = std::nullopt;
    bool whole = false;  // not cut short, and kept in its folder
  };

  void add(const Experiment& experiment) {
    const bool known = std::ranges::find(items_, &experiment, &Item::experiment) != items_.end();
    if (!known) items_.push_back({&experiment});
  }

  // Changes with any change of the programs that make a section: a result is only as good as the code it is from.
  std::string makers_of(const Experiment& experiment) const {
    return experiment.trainings.empty() ? program_ : program_ + " " + training_program_;
  }

  fs::path section_path(const Experiment& experiment) const { return options_.out / experiment.id / "section.json"; }

  // sweep: where their trainings are, as seen from the report; "" for experiments without.
  void run_all(const std::vector<Item*>& items, const fs::path& sweep) {
    const int jobs = std::clamp(processors_, 1, std::max(1, static_cast<int>(items.size())));
    parallel_for(static_cast<std::int64_t>(items.size()), jobs,
                 [&](std::int64_t index) { run_one(*items[index], sweep, std::max(1, processor_count() / jobs)); });
  }

  void run_one(Item& item, const fs::path& sweep, int threads) {
    const Experiment& experiment = *item.experiment;
    // Trainings that are done can be read after Ctrl-C too.
    if (interrupted() && sweep.empty()) return;
    try {
      report::Section section =
          named_section(experiment, {.preset = options_.preset,
                                     .seed = options_.seed,
                                     .threads = threads,
                                     .out = options_.out,
                                     .sweep = sweep,
                                     .progress = [&](std::uint64_t total, std::string unit) {
                                       return board_.start(std::string(experiment.id), total, std::move(unit));
                                     }});
      section.command = command_for(options_, {std::string(experiment.id)});
      // Of a sweep that was cut short the section is a partial one: shown, not kept.
      if (!interrupted()) {
        make_folder(options_.out / experiment.id);
        write_file(section_path(experiment),
                   nlohmann::json{{"program", makers_of(experiment)}, {"section", section}}.dump());
        item.whole = true;
      }
      item.section = std::move(section);
    } catch (const Interrupted&) {
    } catch (const Error& error) {
      add_error(experiment, error.what());
    }
  }

  void run_with_trainings(std::string_view task, const std::vector<Item*>& items) {
    const TrainingSweep sweep{.grid = grid_of(task, options_.preset),
                              .first_seed = static_cast<std::int64_t>(options_.seed),
                              .folder = options_.out / "runs" / grid_of(task, options_.preset),
                              .program = options_.training_program,
                              .jobs = processors_};
    if (trains_transformers(sweep) && !options_.transformers) {
      for (const Item* item : items) {
        result_.page.skipped.emplace_back(item->experiment->id,
                                          "it trains transformers, and this build of Polariscope has no LibTorch to do "
                                          "so: `./dev reproduce` in a clone "
                                          "builds one that has");
      }
      return;
    }
    if (interrupted()) return;
    try {
      tell_of_others(sweep.grid + ": ", forget_others(sweep), "training");
      if (options_.announce) options_.announce(announcement(sweep));
      execute(sweep, board_);
      run_all(items, fs::path("runs") / sweep.grid);
    } catch (const Error& error) {
      for (const Item* item : items) add_error(*item->experiment, error.what());
    }
  }

  void tell_of_others(const std::string& where, int others, std::string_view what) const {
    if (others == 0 || !options_.announce) return;
    options_.announce(fmt::format("{}{} {}{} of another version of the program {} done again", where, others, what,
                                  others == 1 ? "" : "s", others == 1 ? "is" : "are"));
  }

  void add_error(const Experiment& experiment, std::string_view what) {
    const std::lock_guard lock(mutex_);
    result_.errors.push_back(fmt::format("{}: {}", experiment.id, what));
  }

  Reproduction finish() {
    result_.interrupted = interrupted();
    report::Page& page = result_.page;
    dress(page, "Polariscope: attention that polarises");
    page.preset = preset_name(options_.preset);
    page.command = command_for(options_, options_.ids);
    for (Item& item : items_) {
      const bool is_skipped =
          std::ranges::any_of(page.skipped, [&](const auto& pair) { return pair.first == item.experiment->id; });
      if (!item.whole && !is_skipped) page.unfinished.emplace_back(item.experiment->id);
      if (!item.section) continue;
      // Of a section that was done before, what it took then.
      page.wall_seconds += item.section->wall_seconds;
      page.sections.push_back(std::move(*item.section));
    }
    result_.report = options_.out / "report.html";
    write_file(result_.report, report::render(page));
    return std::move(result_);
  }

  const ReproduceOptions& options_;
  ProgressBoard& board_;
  std::string program_, training_program_;  // fingerprints
  int processors_ = 1;
  std::vector<Item> items_;
  Reproduction result_;
  std::mutex mutex_;  // guards result_.errors
};

}  // namespace

std::vector<PlannedTrainings> planned_trainings(const ReproduceOptions& options) {
  std::vector<std::string_view> grids;
  const auto add = [&](const Experiment& experiment) {
    const bool known = std::ranges::find(grids, experiment.trainings) != grids.end();
    if (!experiment.trainings.empty() && !known) grids.push_back(experiment.trainings);
  };
  for (const std::string& id : options.ids) add(find_experiment(id));
  if (options.ids.empty()) std::ranges::for_each(catalogue(), add);
  std::vector<PlannedTrainings> all;
  for (const std::string_view trainings : grids) {
    const TrainingSweep sweep{.grid = grid_of(trainings, options.preset),
                              .first_seed = static_cast<std::int64_t>(options.seed),
                              .folder = {},
                              .program = {},
                              .jobs = options.jobs == 0 ? processor_count() : options.jobs};
    all.push_back({announcement(sweep), trainings == trainings_of("language-model"), arguments_of(sweep)});
  }
  return all;
}

Reproduction reproduce(const ReproduceOptions& options, ProgressBoard& board) {
  return Reproducer(options, board).run();
}

}  // namespace polariscope::experiments
