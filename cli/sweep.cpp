// polariscope sweep: thousands of trainings from one grid.
#include "polariscope/sweep/sweep.h"

#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/experiments/sweep_report.h"
#include "polariscope/sweep/export.h"
#include "polariscope/sweep/mpi.h"
#include "polariscope/sweep/retry.h"
#include "polariscope/sweep/shipped_grids.h"
#include "polariscope/sweep/status.h"
#include "settings.h"
#include "training_program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <string>

namespace polariscope::cli {
namespace {

Command add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Execute a grid's runs, or go on with them");
  struct Settings {
    std::string grid, out, shard;
    double jobs = 0, limit = 7200;
    bool quiet = false;
  };
  auto settings = std::make_shared<Settings>();
  command
      ->add_option("grid", settings->grid,
                   fmt::format("TOML file, or one of {}", fmt::join(sweep::shipped_grid_names(), ", ")))
      ->type_name("GRID")
      ->required();
  command->add_option("--out", settings->out, "Folder of the sweep; what it holds already is not done again")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--jobs", settings->jobs, "Runs at once; 0: one per processor, under mpirun one per rank")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--shard", settings->shard, "Only part i of n, as in 3/8: for job arrays")->type_name("I/N");
  command->add_option("--limit", settings->limit, "Seconds after which a run is killed and counted as failed")
      ->type_name("X")
      ->capture_default_str();
  command->add_flag("--quiet", settings->quiet, "No progress");
  command->footer(
      "Ctrl-C, a kill or a power failure lose only the runs at work: the same command goes on.\n"
      "Examples:\n"
      "  polariscope sweep run induction-quick --out quick\n"
      "  polariscope sweep run grid.toml --out sweep --jobs 4 --limit 600\n"
      "  polariscope sweep run induction --out sweep --shard 3/8\n"
      "  mpirun -n 64 polariscope sweep run token-groups --out sweep");
  return [=] {
    constexpr double kMostJobs = 10'000;
    require_values(*command);
    const sweep::Grid grid = sweep::find_grid(settings->grid, runs::defining_options());
    const sweep::Shard shard = of_option(
        "--shard", [&] { return settings->shard.empty() ? sweep::Shard() : sweep::parse_shard(settings->shard); });
    const auto jobs = static_cast<int>(whole_number("--jobs", settings->jobs, 0, kMostJobs));
    if (!(settings->limit > 0)) throw Error("--limit is {}: it must be above 0", settings->limit);
    catch_interrupts();
    require_trainable(grid);
    const sweep::RunCommand train{.program = {training_program().string(), "train", "--threads", "1"},
                                  .limit = settings->limit};
    const int places = jobs > 0 ? jobs : sweep::is_under_mpirun() ? 1 : processor_count();
    return sweep::over_ranks(train, places, [&](sweep::Workers& workers) {
      sweep::SweepEnd end;
      {
        ProgressBoard board(settings->quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
        end = sweep::run_sweep(grid, settings->out, shard, workers, board);
      }
      fmt::print("{}", sweep::in_words(sweep::read_status(settings->out), settings->out));
      if (end.interrupted) {
        fmt::print("interrupted: the same command goes on with {} runs left\n", end.tally.waiting);
        return 130;
      }
      return end.tally.failed == 0 ? 0 : 1;
    });
  };
}

CLI::Option* add_folder(CLI::App& command, std::string& folder) {
  return command.add_option("folder", folder, "The sweep's --out folder")->type_name("FOLDER")->required();
}

Command add_status(CLI::App& app) {
  CLI::App* command = app.add_subcommand("status", "Tell how far a sweep is, and why runs failed");
  auto folder = std::make_shared<std::string>();
  add_folder(*command, *folder);
  command->footer(
      "Examples:\n"
      "  polariscope sweep status sweep");
  return [=] {
    fmt::print("{}", sweep::in_words(sweep::read_status(*folder), *folder));
    return 0;
  };
}

Command add_retry(CLI::App& app) {
  CLI::App* command = app.add_subcommand("retry", "Put failed runs back; `sweep run` then executes them again");
  auto folder = std::make_shared<std::string>();
  add_folder(*command, *folder);
  command->footer(
      "Examples:\n"
      "  polariscope sweep retry sweep");
  return [=] {
    const int put_back = sweep::retry_failed(*folder);
    fmt::print("{} failed run{} put back: the command that began the sweep goes on with {}\n", put_back,
               put_back == 1 ? "" : "s", put_back == 1 ? "it" : "them");
    return 0;
  };
}

Command add_table_export(CLI::App& app) {
  CLI::App* command = app.add_subcommand("export", "Print all runs with settings and metrics as CSV");
  auto folder = std::make_shared<std::string>();
  auto out = std::make_shared<std::string>();
  add_folder(*command, *folder);
  command->add_option("--out", *out, "Write to this file instead")->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  polariscope sweep export sweep > sweep.csv\n"
      "  polariscope sweep export sweep --out sweep.csv");
  return [=] {
    require_values(*command);
    const std::string csv = sweep::sweep_as_csv(*folder);
    if (out->empty()) {
      fmt::print("{}", csv);
    } else {
      write_file(*out, csv);
    }
    return 0;
  };
}

Command add_report(CLI::App& app) {
  CLI::App* command = app.add_subcommand("report", "Write report.html from the runs that are done so far");
  auto folder = std::make_shared<std::string>();
  add_folder(*command, *folder);
  command->footer(
      "The figures and claims of the papers that read such runs; while the sweep goes on, too.\n"
      "Examples:\n"
      "  polariscope sweep report sweep");
  return [=] {
    fmt::print("report: {}\n", experiments::write_sweep_report(*folder).string());
    return 0;
  };
}

}  // namespace

Command add_sweep(CLI::App& app) {
  CLI::App* command = app.add_subcommand("sweep", "Run a grid of trainings, on one machine or many");
  command->require_subcommand(0, 1);
  const std::map<std::string, Command> commands{{"run", add_run(*command)},
                                                {"status", add_status(*command)},
                                                {"report", add_report(*command)},
                                                {"retry", add_retry(*command)},
                                                {"export", add_table_export(*command)}};
  command->footer(
      "Examples:\n"
      "  polariscope sweep run induction-quick --out quick\n"
      "  polariscope sweep status quick\n"
      "  polariscope sweep report quick\n"
      "  polariscope sweep export quick > quick.csv");
  return [=] {
    const auto chosen = command->get_subcommands();
    if (!chosen.empty()) return commands.at(chosen.front()->get_name())();
    fmt::print("{}", command->get_parent()->help());
    return 2;
  };
}

}  // namespace polariscope::cli
