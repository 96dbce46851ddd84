// polariscope train: one run, from its options to its result.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/progress.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/runs/run_options.h"
#include "polariscope/runs/settings.h"
#include "polariscope/train/regression_training.h"
#include "polariscope/train/run.h"
#include "settings.h"
#include "training_options.h"
#include "transformers.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <system_error>

namespace polariscope::cli {
namespace {

// What the command takes beside the table of options.
struct Settings {
  std::string config, out;
  bool quiet = false, dry_run = false;
};

void declare(CLI::App& c, Settings& s) {
  c.add_option("file", s.config, "TOML file with any of the options below; the command line wins")->type_name("FILE");
  declare_options(c, runs::options());
  const std::string group(runs::group_name(runs::OptionGroup::kExecution));
  c.add_option("--out", s.out, "Folder of the run; a run that was stopped goes on")->type_name("FOLDER")->group(group);
  c.add_flag("--quiet", s.quiet, "No progress, no summary")->group(group);
  c.add_flag(
       "--dry-run", s.dry_run,
       "Only say what it would take: parameters, memory, tokens and time, from steps of the first layers that are "
       "measured (language-model)")
      ->group(group);
  c.footer(
      "A default with tasks after it is theirs. What has none for a task means nothing to it, and is refused there.\n"
      "Leaves in the folder: metrics.jsonl and TensorBoard events (entropy, norm, sink mass, ... of every head at "
      "every\n"
      "step), alarms.jsonl, the last checkpoint, result.json; of a transformer heads.json and attention.npy, of a\n"
      "language model validation.jsonl and probes/. After Ctrl-C or a kill the same command goes on and ends with the\n"
      "same bits.\n"
      "Examples:\n"
      "  polariscope train --task induction --attention softmax --out run\n"
      "  polariscope train --task token-groups --layers 1 --heads 1 --mlp false --layer-norm false --out influence\n"
      "  polariscope train --task in-context-regression --batch 1000 --steps 2300 --out regression\n"
      "  polariscope train --task language-model --data example --context 128 --out text\n"
      "  polariscope train --task language-model --model llama-1b --batch 256 --steps 10000 --dry-run\n"
      "  polariscope train run/config.toml --seed 1 --out run-1\n"
      "  polariscope watch run\n"
      "  tensorboard --logdir run");
}

bool is_of_transformer(const runs::Settings& given) { return runs::trains_transformer(given.get<std::string>("task")); }

// Throws Error for options that make no sense together.
std::unique_ptr<train::Trainable> make_training(const runs::Settings& given, int threads) {
  if (is_of_transformer(given)) return transformer_training(given, threads);
  return std::make_unique<train::RegressionTraining>(train::regression_options(given), threads);
}

std::string in_words(const std::filesystem::path& folder) {
  return fmt::format("{}\nresult: {}\n", read_file(folder / "result.json"), (folder / "result.json").string());
}

// Throws Error for an option on the command line that changes what the config.toml of the run's own folder says.
void require_unchanged(const CLI::App& command, const std::filesystem::path& folder) {
  for (const runs::Option& option : runs::defining_options()) {
    const std::string flag = runs::flag_of(option);
    if (command.get_option(flag)->count() == 0) continue;
    throw Error("{} would change the run that {} holds: choose another --out", flag, folder.string());
  }
}

// What --on-alarm rescue says of the run itself, which config.toml has as an option of its own. own_config: whether the
// options are those of a run that is there already. Throws Error where they are of one without rescues.
void spell_out_rescue(runs::NamedValues& given, bool own_config) {
  const auto named = [&](const char* name) { return std::ranges::find(given, name, &runs::NamedValue::name); };
  const auto on_alarm = named("on_alarm"), rescue = named("rescue");
  if (on_alarm == given.end() || on_alarm->value != ConfigValue("rescue")) return;
  if (rescue == given.end() && !own_config) {
    given.push_back({"rescue", "lower"});
  } else if (rescue == given.end() || rescue->value == ConfigValue("no")) {
    throw Error("--on-alarm rescue is of a run with rescues, this one has none: {}",
                own_config ? "choose another --out" : "leave out --rescue no");
  }
}

}  // namespace

Command add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train a transformer and watch every head's entropy");
  auto settings = std::make_shared<Settings>();
  declare(*command, *settings);
  return [=] {
    Settings& s = *settings;
    const std::filesystem::path folder = s.out;
    std::error_code unknown;
    const bool own_config = std::filesystem::equivalent(s.config, folder / "config.toml", unknown);
    if (own_config) require_unchanged(*command, folder);
    if (!s.config.empty()) apply_config(*command, s.config);
    require_values(*command);
    if (s.out.empty() && !s.dry_run) {
      throw Error("train needs --out FOLDER: where its logs, checkpoint and result go");
    }
    runs::NamedValues values = given_options(*command, runs::options());
    spell_out_rescue(values, own_config);
    const runs::Settings given(values, runs::flag_of);
    const auto asked = given.get<int>("threads");
    const int processes = std::max(given.get<int>("processes"), 1);
    const int threads = asked > 0 ? asked : std::max(processor_count() / processes, 1);
    if (s.dry_run) {
      if (given.get<std::string>("task") != "language-model") {
        throw Error("--dry-run is of --task language-model, found {}", given.get<std::string>("task"));
      }
      fmt::print("{}", training_plan(given, threads));
      return 0;
    }
    if (is_of_transformer(given) && followed(given, threads)) return 0;
    runs::RunOptions run = runs::run_options(given);
    run.threads = threads;
    run.libtorch = is_of_transformer(given) ? libtorch_version() : "";
    // Before a folder is made for it: this checks the options.
    const auto training = make_training(given, threads);
    const auto held =
        own_config ? runs::RunFolder(folder) : runs::RunFolder(folder, "command = \"train\"\n" + given.toml());
    catch_interrupts();
    ProgressBoard board(s.quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    const std::string title = fmt::format("{} {}", given.get<std::string>("task"), given.get<std::string>("attention"));
    train::run_training(*training, run, held,
                        board.start(title, static_cast<std::uint64_t>(training->steps()), "steps"));
    if (!s.quiet) fmt::print("{}", in_words(folder));
    return 0;
  };
}

}  // namespace polariscope::cli
