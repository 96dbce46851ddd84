// polariscope train: one run, from its options to its result.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/progress.h"
#include "polariscope/runs/run_folder.h"
#include "polariscope/train/process.h"
#include "polariscope/train/regression_training.h"
#include "polariscope/train/run.h"
#include "polariscope/train/transformer_training.h"
#include "settings.h"
#include "train_regression.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <system_error>

namespace polariscope::cli {
namespace {

// The options as they were typed.
struct Settings {
  train::TrainingOptions o;
  double vocabulary = 0, sequence_length = 0, training_sequences = 0, evaluation_sequences = 1000;
  double layers = 2, heads = 4, width = 128, epochs = 10, batch = 256, seed = 0;
  double steps = 0, threads = 0, checkpoint_every = 60;
  std::string layer_form, qk_norm, on_alarm = "log", out, config;
  bool quiet = false;
};

// Only these two: equal runs have equal config.toml.
std::string true_or_false(const std::string& text) {
  return text == "true" || text == "false" ? "" : fmt::format("\"{}\" must be true or false", text);
}

void declare(CLI::App& c, Settings& s) {
  const auto number = [&](const char* name, double& to, const char* help) {
    return c.add_option(name, to, help)->type_name("N")->capture_default_str();
  };
  const auto real = [&](const char* name, double& to, const char* help) {
    return c.add_option(name, to, help)->type_name("X")->capture_default_str();
  };
  const auto text = [&](const char* name, std::string& to, const char* help) {
    return c.add_option(name, to, help)->type_name("NAME")->capture_default_str();
  };
  const auto truth = [&](const char* name, bool& to, const char* help) {
    return c.add_option(name, to, help)
        ->type_name("true|false")
        ->default_str(to ? "true" : "false")
        ->check(CLI::Validator(true_or_false, ""));
  };
  c.add_option("file", s.config, "TOML file with any of the options below; the command line wins")->type_name("FILE");
  text("--task", s.o.task,
       "induction (next token after a repeat), token-groups (classify by CLS) or in-context-regression (attention "
       "alone)");
  number("--vocabulary", s.vocabulary, "Tokens of the task; 0: induction 50, token-groups 81");
  number("--sequence-length", s.sequence_length,
         "0: induction 13 with its answer, token-groups 10 without CLS; in-context-regression 20");
  truth("--shift-query-token", s.o.shift_query_token, "Induction: the repeat is written with a token of its own");
  real("--auxiliary-loss", s.o.auxiliary_loss, "Induction: weight of the loss at earlier positions");
  number("--training-sequences", s.training_sequences, "0: induction 100000, token-groups 10000");
  number("--evaluation-sequences", s.evaluation_sequences, "Sequences that the result is measured on");
  text("--attention", s.o.attention, "As `polariscope list attentions` names them");
  c.add_option("--positions", s.o.positions, "concat, add or no (default: induction concat, token-groups no)")
      ->type_name("NAME");
  number("--layers", s.layers, "Blocks of the transformer; in-context-regression 5");
  number("--heads", s.heads, "Heads of a layer; they share the width");
  number("--width", s.width, "Of the residual stream");
  truth("--mlp", s.o.mlp, "Whether blocks have an MLP");
  truth("--layer-norm", s.o.layer_norm, "Whether there is LayerNorm");
  c.add_option("--layer-form", s.layer_form,
               "In-context regression: residual (X + PV/N, the default), covariate (scores of x alone) or plain (PV)")
      ->type_name("NAME");
  c.add_option("--qk-norm", s.qk_norm, "In-context regression: on queries and keys; no (the default), layer, rms or l2")
      ->type_name("NAME");
  text("--optimiser", s.o.optimiser, "adamw or sgd; in-context-regression sgd");
  real("--learning-rate", s.o.learning_rate, "Of every step: there is no schedule; in-context-regression 0.7");
  real("--weight-decay", s.o.weight_decay, "AdamW's, on all parameters");
  real("--momentum", s.o.momentum, "SGD's; in-context-regression 0.8");
  number("--epochs", s.epochs, "Passes over the training sequences");
  c.add_option("--steps", s.steps, "In-context regression: each on a fresh batch (default: 10000)")->type_name("N");
  number("--batch", s.batch, "Sequences of a step; in-context-regression 4000");
  number("--seed", s.seed, "Of parameters, data and their order");
  number("--threads", s.threads, "0: one per processor. Another number may round differently");
  real("--checkpoint-every", s.checkpoint_every, "Seconds between checkpoints");
  text("--on-alarm", s.on_alarm, "When a head's attention collapses or runs away: log, checkpoint or stop");
  c.add_option("--out", s.out, "Folder of the run; a run that was stopped goes on")->type_name("FOLDER");
  c.add_flag("--quiet", s.quiet, "No progress, no summary");
  c.footer(
      "Leaves in the folder: metrics.jsonl and TensorBoard events (entropy, norm, sink mass, ... of every head at "
      "every\n"
      "step), alarms.jsonl, the last checkpoint, heads.json, attention.npy and result.json. After Ctrl-C or a kill the "
      "same command\n"
      "goes on and ends with the same bits.\n"
      "Examples:\n"
      "  polariscope train --task induction --attention softmax --out run\n"
      "  polariscope train --task token-groups --layers 1 --heads 1 --mlp false --layer-norm false --out influence\n"
      "  polariscope train --task in-context-regression --batch 1000 --steps 2300 --out regression\n"
      "  polariscope train run/config.toml --seed 1 --out run-1\n"
      "  tensorboard --logdir run");
}

train::TrainingOptions options_of(const Settings& s) {
  train::TrainingOptions o = s.o;
  o.vocabulary = whole_number("--vocabulary", s.vocabulary, 0);
  o.sequence_length = whole_number("--sequence-length", s.sequence_length, 0);
  o.training_sequences = whole_number("--training-sequences", s.training_sequences, 0);
  o.evaluation_sequences = whole_number("--evaluation-sequences", s.evaluation_sequences, 1);
  o.layers = whole_number("--layers", s.layers, 1);
  o.heads = whole_number("--heads", s.heads, 1);
  o.width = whole_number("--width", s.width, 1);
  o.epochs = whole_number("--epochs", s.epochs, 1);
  o.batch = whole_number("--batch", s.batch, 1);
  o.seed = static_cast<std::uint64_t>(whole_number("--seed", s.seed, 0));
  return o;
}

// Throws Error for options that make no sense. `command` then has the defaults of its task.
std::unique_ptr<train::Trainable> make_training(CLI::App& command, const Settings& s, int threads) {
  if (s.o.task == kRegressionTask) {
    return std::make_unique<train::RegressionTraining>(regression_options(command), threads);
  }
  refuse_regression_options(command, s.o.task);
  train::use_threads(threads);
  return std::make_unique<train::TransformerTraining>(options_of(s));
}

std::string in_words(const std::filesystem::path& folder) {
  return fmt::format("{}\nresult: {}\n", read_file(folder / "result.json"), (folder / "result.json").string());
}

// Options of how a run is done and watched, which do not change what it is.
const std::vector<std::string_view> kNotOfTheRun{"file", "out", "quiet", "threads", "checkpoint-every", "on-alarm"};

// Throws Error for an option on the command line that changes what the config.toml of the run's own folder says.
void require_unchanged(const CLI::App& command, const std::filesystem::path& folder) {
  for (const CLI::Option* option : command.get_options()) {
    const bool of_the_run = std::ranges::find(kNotOfTheRun, option->get_single_name()) == kNotOfTheRun.end();
    if (of_the_run && option->count() > 0) {
      throw Error("{} would change the run that {} holds: choose another --out", option->get_name(), folder.string());
    }
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
    if (s.out.empty()) throw Error("train needs --out FOLDER: where its logs, checkpoint and result go");
    const auto asked = static_cast<int>(whole_number("--threads", s.threads, 0, 4096));
    const int threads = asked > 0 ? asked : processor_count();
    const runs::RunOptions run{.checkpoint_seconds = s.checkpoint_every,
                               .on_alarm = of_option("--on-alarm", [&] { return runs::find_on_alarm(s.on_alarm); }),
                               .threads = threads,
                               .libtorch = s.o.task == kRegressionTask ? "" : train::libtorch_version()};
    // Before a folder is made for it: this checks the options.
    const auto training = make_training(*command, s, threads);
    const auto held =
        own_config ? runs::RunFolder(folder) : runs::RunFolder(folder, config_text(*command, kNotOfTheRun));
    catch_interrupts();
    ProgressBoard board(s.quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
    train::run_training(*training, run, held,
                        board.start(fmt::format("{} {}", s.o.task, s.o.attention),
                                    static_cast<std::uint64_t>(training->steps()), "steps"));
    if (!s.quiet) fmt::print("{}", in_words(folder));
    return 0;
  };
}

}  // namespace polariscope::cli
