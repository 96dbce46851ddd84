// polariscope edge: the largest learning rate that does not collapse, of a training and its variants.
#include "polariscope/sweep/edge.h"

#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/sweep/edge_search.h"
#include "polariscope/sweep/edge_table.h"
#include "polariscope/sweep/local_workers.h"
#include "settings.h"
#include "training_options.h"
#include "training_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

struct EdgeSettings {
  std::vector<std::string> vary;
  std::string out;
  double seeds = 2, within = 1.5, entropy = 0.1, jobs = 0, threads = 1, limit = 7200;
  bool json = false, quiet = false;
};

void declare(CLI::App& c, EdgeSettings& s) {
  declare_options(c, runs::defining_options());
  const std::string search = "Search", execution(runs::group_name(runs::OptionGroup::kExecution));
  c.add_option("--vary", s.vary, "Variants: each value in place of what the options above say; may be given again")
      ->type_name("NAME=VALUE,...")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(search);
  const auto number = [&c](const char* name, double& to, const char* help, const char* type, const std::string& group) {
    c.add_option(name, to, help)->type_name(type)->capture_default_str()->group(group);
  };
  number("--seeds", s.seeds, "Seeds of each variant, from --seed on", "N", search);
  number("--within", s.within, "The search ends once a rate that held and one that collapsed differ by this factor",
         "X", search);
  number("--entropy", s.entropy, "Share of the first step's entropy, mean over heads, below which a run has collapsed",
         "X", search);
  c.add_option("--out", s.out, "Folder of the search; what it holds already is not done again")
      ->type_name("FOLDER")
      ->required()
      ->group(execution);
  number("--jobs", s.jobs, "Runs at once; 0: one per processor", "N", execution);
  number("--threads", s.threads, "Of each run", "N", execution);
  number("--limit", s.limit, "Seconds after which a run is killed and counted as failed", "X", execution);
  c.add_flag("--json", s.json, "Print edge.json instead of a table")->group(execution);
  c.add_flag("--quiet", s.quiet, "No progress")->group(execution);
  c.footer(
      "Beginning at --learning-rate each search goes up or down by factors of 4 until one rate held and one "
      "collapsed,\n"
      "then halves what is between. A run has collapsed if a loss or gradient was not finite, if an alarm stopped it, "
      "if\n"
      "the mean loss of any tenth of its steps is above 1.5 times the first step's, or by --entropy over its last "
      "tenth.\n"
      "--steps is what a run has time to collapse in: the edge of a longer training is lower.\n"
      "After Ctrl-C the same command goes on. Exit codes: 0, 1 if runs failed, 2 for a mistake, 130 for Ctrl-C.\n"
      "Examples:\n"
      "  polariscope edge --task in-context-regression --batch 250 --steps 400 --vary qk_norm=layer --out edge\n"
      "  polariscope edge --task language-model --data example --context 64 --batch 4 --steps 60 --out edge \\\n"
      "      --vary attention=relu_kernel/sum,softmax1,sink --vary qk_norm=layer --vary soft_cap=30 \\\n"
      "      --vary warmup=20 --vary weight_decay=0 --vary beta_2=0.999 --vary clip=0");
}

std::string vary_flag(const runs::Option& option) { return "--vary " + std::string(option.name); }

// "a,b" as "a" and "b".
std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

const runs::Option& option_to_vary(const std::string& typed) {
  std::string name = typed.substr(0, typed.find('='));
  std::ranges::replace(name, '-', '_');
  if (typed.find('=') == std::string::npos) {
    throw Error("--vary is \"{}\": expected NAME=VALUE or NAME=VALUE,VALUE, as in attention=softmax1,sink", typed);
  }
  const std::span<const runs::Option> table = runs::defining_options();
  const runs::Option* option = runs::find_option(table, name);
  if (option == nullptr) {
    std::vector<std::string_view> names;
    for (const runs::Option& one : table) names.push_back(one.name);
    throw Error("--vary: {}", unknown_name("option", name, names));
  }
  if (name == "learning_rate" || name == "seed") {
    throw Error("--vary {}: the search itself tries {}", name,
                name == "seed" ? "seeds: say how many with --seeds" : "learning rates: choose another option");
  }
  return *option;
}

// The base first, then one variant for each value of --vary. A value that the base has already names it.
std::vector<sweep::EdgeVariant> variants_of(const runs::NamedValues& base, const std::vector<std::string>& vary) {
  std::vector<sweep::EdgeVariant> variants{{.name = "base", .settings = base}};
  std::vector<std::string> texts{runs::Settings(base, runs::flag_of).toml()};
  for (const std::string& typed : vary) {
    const runs::Option& option = option_to_vary(typed);
    for (const std::string& part : parts_of(std::string_view(typed).substr(typed.find('=') + 1))) {
      const ConfigValue value = typed_value(option, part, vary_flag(option));
      runs::NamedValues settings = base;
      std::erase_if(settings, [&](const runs::NamedValue& one) { return one.name == option.name; });
      settings.push_back({std::string(option.name), value});
      const std::string name = fmt::format("{}={}", option.name, part),
                        text = runs::Settings(settings, vary_flag).toml();
      const auto same = std::ranges::find(texts, text) - texts.begin();
      if (same == std::ssize(texts)) {
        variants.push_back({.name = name, .settings = std::move(settings)});
        texts.push_back(text);
      } else if (std::string& known = variants[static_cast<std::size_t>(same)].name; known == "base") {
        known = name;
      } else {
        throw Error("--vary {} is the same training as {}: leave one of them out", name, known);
      }
    }
  }
  return variants;
}

double between(std::string_view option, double value, double least, double most) {
  if (!(value >= least && value <= most)) {
    throw Error("{} is {}: it must be a number from {} to {}", option, value, least, most);
  }
  return value;
}

sweep::EdgePlan plan_of(const CLI::App& command, const EdgeSettings& s) {
  // Six factors of 4 on either side of it are rates, too.
  constexpr double kLeastRate = 1e-12, kMostRate = 1e12, kMostSeeds = 1000;
  runs::NamedValues base = given_options(command, runs::defining_options());
  const runs::Settings given(base, runs::flag_of);
  std::erase_if(base, [](const runs::NamedValue& one) { return one.name == "learning_rate" || one.name == "seed"; });
  sweep::EdgePlan plan{
      .variants = variants_of(base, s.vary),
      .first_rate = between("--learning-rate", given.get<double>("learning_rate"), kLeastRate, kMostRate),
      .within = between("--within", s.within, sweep::EdgeSearch::kLeastWithin, sweep::EdgeSearch::kFactor),
      .entropy_share = between("--entropy", s.entropy, 0.0, 1.0),
      .first_seed = given.get<std::int64_t>("seed"),
      .seeds = static_cast<int>(whole_number("--seeds", s.seeds, 1, kMostSeeds))};
  for (const sweep::EdgeVariant& variant : plan.variants) {
    const bool transformer = runs::trains_transformer(runs::Settings(variant.settings).get<std::string>("task"));
    if (transformer && !can_train_transformers()) throw Error("{}", kNoTransformers);
  }
  return plan;
}

int exit_code(const sweep::EdgeEnd& end) {
  constexpr int kFailed = 1, kInterrupted = 130;
  if (end.interrupted) return kInterrupted;
  for (const sweep::VariantEdge& variant : end.variants) {
    const auto failed = [](const sweep::SeedEdge& seed) { return !seed.failure.empty(); };
    if (std::ranges::any_of(variant.seeds, failed)) return kFailed;
  }
  return 0;
}

int run(const CLI::App& command, const EdgeSettings& s) {
  constexpr double kMostJobs = 10'000, kMostThreads = 4096;
  const sweep::EdgePlan plan = plan_of(command, s);
  const auto jobs = static_cast<int>(whole_number("--jobs", s.jobs, 0, kMostJobs));
  const auto threads = whole_number("--threads", s.threads, 1, kMostThreads);
  if (!(s.limit > 0)) throw Error("--limit is {}: it must be above 0", s.limit);
  catch_interrupts();
  sweep::LocalWorkers workers(
      {.program = {training_program().string(), "train", "--threads", fmt::format("{}", threads), "--on-alarm", "stop"},
       .limit = s.limit},
      jobs > 0 ? jobs : processor_count());
  sweep::EdgeEnd end;
  {
    ProgressBoard board(s.quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    end = sweep::find_edges(plan, s.out, workers, board);
  }
  if (s.json) {
    fmt::print("{}\n", sweep::edges_as_json(plan, end.variants));
  } else {
    fmt::print("{}", sweep::edges_in_words(plan, end.variants));
    if (end.interrupted) fmt::print("interrupted: the same command goes on\n");
  }
  return exit_code(end);
}

}  // namespace

Command add_edge(CLI::App& app) {
  CLI::App* command = app.add_subcommand("edge", "Find the largest learning rate that does not collapse");
  auto settings = std::make_shared<EdgeSettings>();
  declare(*command, *settings);
  return [=] {
    require_values(*command);
    return run(*command, *settings);
  };
}

}  // namespace polariscope::cli
