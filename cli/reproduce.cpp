// polariscope reproduce: experiments -> claims, figures, report.html.
#include "polariscope/experiments/reproduce.h"

#include "commands.h"
#include "planned_trainings.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/terminal.h"
#include "settings.h"
#include "training_program.h"

#include <fmt/format.h>

#include <array>
#include <memory>

namespace polariscope::cli {
namespace {

std::string verdict_cell(report::Verdict verdict, bool colour) {
  const Colour by_verdict = verdict == report::Verdict::kHolds   ? Colour::kGreen
                            : verdict == report::Verdict::kFails ? Colour::kRed
                                                                 : Colour::kYellow;
  return coloured(fmt::format("{} {}", report::verdict_mark(verdict), report::verdict_name(verdict)), by_verdict,
                  colour);
}

void print_claims(const report::Page& page) {
  const bool colour = wants_colour(stdout);
  std::array<int, 3> counts{};
  for (const report::Section& section : page.sections) {
    fmt::print("\n{}  {}\n", coloured(section.id, Colour::kBold, colour), section.title);
    std::vector<std::vector<std::string>> rows{{"verdict", "measured", "claim (source)"}};
    for (const report::Claim& claim : section.claims) {
      ++counts[static_cast<int>(claim.verdict)];
      rows.push_back(
          {verdict_cell(claim.verdict, colour), claim.measured, fmt::format("{} ({})", claim.statement, claim.source)});
    }
    fmt::print("{}", aligned_table(rows));
  }
  const int total = counts[0] + counts[1] + counts[2];
  fmt::print("\n{} of {} claims hold, {} fail, {} inconclusive at this size\n", counts[0], total, counts[1], counts[2]);
}

}  // namespace

Command add_reproduce(CLI::App& app) {
  CLI::App* command = app.add_subcommand("reproduce", "Run experiments of the papers and write report.html");
  struct Settings {
    std::vector<std::string> ids;
    std::string preset = "quick", out = "out";
    double seed = 0, jobs = 0;
    bool quiet = false, dry_run = false;
  };
  auto settings = std::make_shared<Settings>();
  command->add_option("ids", settings->ids, "Experiments, as `polariscope list experiments` names them; default: all")
      ->type_name("ID");
  command
      ->add_option(
          "--preset", settings->preset,
          "quick: minutes on a laptop; small: quick, with language models that take an hour; paper: the papers' sizes")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--seed", settings->seed, "First random seed")->type_name("N")->capture_default_str();
  command->add_option("--jobs", settings->jobs, "Experiments at once; 0: one per processor")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--out", settings->out, "Folder of the run; what it holds already is not done again")
      ->type_name("FOLDER")
      ->capture_default_str();
  command->add_flag("--quiet", settings->quiet, "No progress");
  command->add_flag(
      "--dry-run", settings->dry_run,
      "Only say what the trainings would take; of language models by measured steps of their first layers");
  command->footer(
      "Ctrl-C writes the report of what is done; the same command then goes on from there.\n"
      "Examples:\n"
      "  polariscope reproduce\n"
      "  polariscope reproduce A.fig2 A.thm3.2 --preset paper --out paper\n"
      "  polariscope reproduce A.phase --seed 7 --out seed7\n"
      "  polariscope reproduce B.fig1top --preset paper --dry-run");
  return [=] {
    constexpr double kMostJobs = 100'000;
    require_values(*command);
    catch_interrupts();
    experiments::ReproduceOptions options{
        .ids = settings->ids,
        .preset = experiments::find_preset(settings->preset),
        .seed = static_cast<std::uint64_t>(whole_number("--seed", settings->seed, 0)),
        .jobs = static_cast<int>(whole_number("--jobs", settings->jobs, 0, kMostJobs)),
        .out = settings->out,
        .training_program = training_program(),
        .transformers = can_train_transformers(),
        .announce = [](const std::string& line) { tell(fmt::format("{}\n", line)); }};
    if (settings->quiet) options.announce = nullptr;
    if (settings->dry_run) return print_planned_trainings(options);
    experiments::Reproduction result;
    {
      ProgressBoard board(settings->quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
      result = experiments::reproduce(options, board);
    }
    print_claims(result.page);
    if (result.reused > 0)
      fmt::print("{} of {} experiments were done before\n", result.reused, result.page.sections.size());
    for (const auto& [id, why] : result.page.skipped) fmt::print("skipped {}: {}\n", id, why);
    for (const std::string& error : result.errors) tell(fmt::format("polariscope: {}\n", error));
    if (result.interrupted) {
      const std::size_t left = result.page.unfinished.size();
      fmt::print("interrupted: the same command goes on with {} experiment{} left\n", left, left == 1 ? "" : "s");
    }
    fmt::print("report: {}   repeat: {}\n", result.report.string(), result.page.command);
    if (result.interrupted) return 130;
    return result.errors.empty() ? 0 : 1;
  };
}

}  // namespace polariscope::cli
