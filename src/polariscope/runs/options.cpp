#include "polariscope/runs/options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/reweighting/attention_form.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>

namespace polariscope::runs {
namespace {

constexpr std::string_view kInduction = "induction", kTokenGroups = "token-groups",
                           kRegression = "in-context-regression", kLanguage = "language-model";

// Far above what trains anywhere, and low enough that sums and products of them are exact and no single precision
// overflows.
constexpr double kMostNumber = 1e30, kMostTokens = 1e6, kMostSequences = 1e8;

std::vector<std::string_view> attention_names() {
  std::vector<std::string_view> names;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    names.push_back(form.name);
    if (!form.alias.empty()) names.push_back(form.alias);
  }
  return names;
}

std::vector<Option> table() {
  using enum OptionKind;
  using enum OptionGroup;
  return {
      {.name = "task",
       .group = kTask,
       .defaults = {{kEveryTask, "induction"}},
       .help =
           "Next token after a repeat, class of a sequence by CLS, attention alone on in-context regression, or text",
       .choices = {kInduction, kTokenGroups, kRegression, kLanguage}},
      {.name = "data",
       .group = kTask,
       .defaults = {{kLanguage, ""}},
       .help = "Folder that `polariscope tokenize` wrote, its last hundredth for validation; or example: the pages of "
               "the documentation, a token a byte",
       .path = true},
      {.name = "context",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kLanguage, 0}},
       .help = "Tokens of a sequence; 0: as many as the model was made for",
       .range = {.most = kMostTokens}},
      {.name = "validation_every",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kLanguage, 100}},
       .help = "Steps from one validation loss to the next",
       .range = {.least = 1}},
      {.name = "validation_sequences",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kLanguage, 32}},
       .help = "Sequences that it is measured on, the same every time",
       .range = {.least = 1, .most = kMostSequences}},
      {.name = "model",
       .group = kModel,
       .defaults = {{kLanguage, "llama-3m"}},
       .help =
           "A preset (llama-3m, llama-15m, llama-1b, gpt2-15m, gpt2-large), a config.json as published models have, "
           "or a folder with a published model to go on from",
       .path = true},
      {.name = "vocabulary",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kInduction, 50}, {kTokenGroups, 81}},
       .help = "Tokens of the task",
       .range = {.least = 1, .most = kMostTokens},
       .zero_is_default = true},
      {.name = "sequence_length",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kInduction, 13}, {kTokenGroups, 10}, {kRegression, 20}},
       .help =
           "Tokens of a sequence: induction's with its answer, token-groups' without CLS, regression's with the query",
       .range = {.least = 1, .most = kMostTokens},
       .zero_is_default = true},
      {.name = "shift_query_token",
       .kind = kBoolean,
       .group = kTask,
       .defaults = {{kInduction, false}},
       .help = "Whether the repeat is written with a token of its own"},
      {.name = "auxiliary_loss",
       .kind = kNumber,
       .group = kTask,
       .defaults = {{kInduction, 0.2}},
       .help = "Weight of the mean loss at earlier positions beside the last one's",
       .range = {.most = kMostNumber}},
      {.name = "training_sequences",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kInduction, 100'000}, {kTokenGroups, 10'000}},
       .help = "Sequences that are trained on",
       .range = {.least = 1, .most = kMostSequences},
       .zero_is_default = true},
      {.name = "evaluation_sequences",
       .kind = kWhole,
       .group = kTask,
       .defaults = {{kInduction, 1000}, {kTokenGroups, 1000}},
       .help = "Other sequences, that the result is measured on",
       .range = {.least = 1, .most = kMostSequences}},
      {.name = "attention",
       .group = kModel,
       .defaults = {{kEveryTask, "softmax"}},
       .help = "As `polariscope list attentions` names them",
       .choices = attention_names()},
      {.name = "positions",
       .group = kModel,
       .defaults = {{kInduction, "concat"}, {kTokenGroups, "no"}},
       .help = "Position embeddings beside the tokens' in half of the width, added to them, or none",
       .choices = {"concat", "add", "no"}},
      {.name = "layers",
       .kind = kWhole,
       .group = kModel,
       .defaults = {{kInduction, 2}, {kTokenGroups, 2}, {kRegression, 5}},
       .help = "Blocks of the model",
       .range = {.least = 1, .most = 1e4}},
      {.name = "heads",
       .kind = kWhole,
       .group = kModel,
       .defaults = {{kInduction, 4}, {kTokenGroups, 4}},
       .help = "Heads of a layer; they share the width",
       .range = {.least = 1, .most = 1e6}},
      {.name = "width",
       .kind = kWhole,
       .group = kModel,
       .defaults = {{kInduction, 128}, {kTokenGroups, 128}},
       .help = "Of the residual stream",
       .range = {.least = 1, .most = 1e6}},
      {.name = "mlp",
       .kind = kBoolean,
       .group = kModel,
       .defaults = {{kInduction, true}, {kTokenGroups, true}},
       .help = "Whether blocks have an MLP"},
      {.name = "layer_norm",
       .kind = kBoolean,
       .group = kModel,
       .defaults = {{kInduction, true}, {kTokenGroups, true}},
       .help = "Whether there is LayerNorm"},
      {.name = "layer_form",
       .group = kModel,
       .defaults = {{kRegression, "residual"}},
       .help = "What becomes of X, which is X + PV/N, the same with scores of x alone, or PV",
       .choices = {"residual", "covariate", "plain"}},
      {.name = "qk_norm",
       .group = kModel,
       .defaults = {{kRegression, "no"}, {kLanguage, "no"}},
       .help = "What normalises every query and key; of a language model layer and rms, before rotation",
       .choices = {"no", "layer", "rms", "l2"}},
      {.name = "soft_cap",
       .kind = kNumber,
       .group = kModel,
       .defaults = {{kLanguage, 0.0}},
       .help = "c of c tanh(z/c) on attention's scores, with softmax; 0: none",
       .range = {.most = kMostNumber}},
      {.name = "precision",
       .group = kModel,
       .defaults = {{kLanguage, "float32"}},
       .help = "Of products of matrices; weights and sums are float32",
       .choices = {"float32", "bfloat16"}},
      {.name = "deviation",
       .kind = kNumber,
       .group = kModel,
       .defaults = {{kLanguage, 0.02}},
       .help = "Standard deviation of what matrices start from; what writes to the residual stream has it over "
               "sqrt(2 layers)",
       .range = {.most = kMostNumber, .open_least = true}},
      {.name = "causal",
       .kind = kBoolean,
       .group = kModel,
       .defaults = {{kRegression, false}},
       .help = "Whether a token sees those up to itself alone"},
      {.name = "optimiser",
       .group = kTraining,
       .defaults = {{kEveryTask, "adamw"}, {kRegression, "sgd"}},
       .help = "What makes steps of gradients; adam is adamw without decay",
       .choices = {"adamw", "adam", "sgd"}},
      {.name = "learning_rate",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kEveryTask, 1e-3}, {kRegression, 0.7}},
       .help = "Of every step, of a language model the highest; regression's default is for SGD",
       .range = {.most = kMostNumber, .open_least = true}},
      {.name = "warmup",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kLanguage, 0}},
       .help = "Steps in which the learning rate rises from 0"},
      {.name = "schedule",
       .group = kTraining,
       .defaults = {{kLanguage, "cosine"}},
       .help = "How the learning rate falls after that",
       .choices = {"cosine", "linear", "constant"}},
      {.name = "final_rate",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.1}},
       .help = "Share of the learning rate that is left at the end",
       .range = {.most = 1.0}},
      {.name = "weight_decay",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kEveryTask, 0.01}, {kLanguage, 0.1}},
       .help = "Of all parameters, of a language model of matrices alone",
       .range = {.most = 1e6},
       .only_with = OptionCondition{"optimiser", "adamw", 0.0}},
      {.name = "beta_1",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.9}},
       .help = "Share of the gradient's mean that AdamW keeps",
       .range = {.most = 1.0, .open_most = true}},
      {.name = "beta_2",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.95}},
       .help = "Share of the squares' mean that it keeps",
       .range = {.most = 1.0, .open_most = true}},
      {.name = "clip",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 1.0}},
       .help = "The gradient's norm is cut to this; 0: never. The log has it as it was",
       .range = {.most = kMostNumber}},
      {.name = "z_loss",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.0}},
       .help = "Weight of the mean square of log sum e^logits beside the loss",
       .range = {.most = kMostNumber}},
      {.name = "entropy_floor",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.0}},
       .help = "Share of uniform rows' entropy under which a row adds to the loss; 0: none",
       .range = {.most = 1.0}},
      {.name = "entropy_weight",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 1.0}},
       .help = "Weight of the mean square of what rows lack to entropy_floor",
       .range = {.most = kMostNumber}},
      {.name = "qk_clip",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kLanguage, 0.0}},
       .help = "QK-Clip's limit: a head whose largest score was above it has queries and keys scaled down; 0: none",
       .range = {.most = kMostNumber}},
      {.name = "momentum",
       .kind = kNumber,
       .group = kTraining,
       .defaults = {{kEveryTask, 0.0}, {kRegression, 0.8}},
       .help = "Share of the last step in the next",
       .range = {.most = 1, .open_most = true},
       .only_with = OptionCondition{"optimiser", "sgd", 0.0}},
      {.name = "epochs",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kInduction, 10}, {kTokenGroups, 10}},
       .help = "Passes over the training sequences",
       .range = {.least = 1, .most = 1e9}},
      {.name = "steps",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kRegression, 10'000}, {kLanguage, 1000}},
       .help = "Each on a fresh batch",
       .range = {.least = 1}},
      {.name = "batch",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kEveryTask, 256}, {kRegression, 4000}, {kLanguage, 16}},
       .help = "Sequences of a step",
       .range = {.least = 1, .most = 1e7}},
      {.name = "accumulation",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kLanguage, 1}},
       .help = "Parts that a batch is taken in, one after the other, to need less memory",
       .range = {.least = 1, .most = 1e7}},
      {.name = "seed",
       .kind = kWhole,
       .group = kTraining,
       .defaults = {{kEveryTask, 0}},
       .help = "Of parameters, examples and their order"},
      {.name = "threads",
       .kind = kWhole,
       .group = kExecution,
       .defaults = {{kEveryTask, 0}},
       .help = "0: one per processor. Another number may round a transformer's sums differently",
       .range = {.most = 4096}},
      {.name = "processes",
       .kind = kWhole,
       .group = kExecution,
       .defaults = {{kLanguage, 1}},
       .help = "That share each batch on this machine, each with its threads; torchrun and srun start them themselves",
       .range = {.least = 1, .most = 1024}},
      {.name = "checkpoint_every",
       .kind = kNumber,
       .group = kExecution,
       .defaults = {{kEveryTask, 60.0}},
       .help = "Seconds between checkpoints",
       .range = {.most = 1e9}},
      {.name = "on_alarm",
       .group = kExecution,
       .defaults = {{kEveryTask, "log"}},
       .help = "What to do besides telling it when a head's attention collapses or its scores run away",
       .choices = {"log", "checkpoint", "stop"}},
  };
}

const std::vector<Option>& whole_table() {
  static const std::vector<Option> kTable = table();
  return kTable;
}

std::string with(char joint, std::string_view name) {
  std::string text(name);
  std::ranges::replace(text, '_', joint);
  return text;
}

std::string range_in_words(const OptionRange& range) {
  const std::string least = fmt::format("{} {}", range.open_least ? "above" : "of at least", range.least);
  if (range.most == OptionRange::kUnbounded) return least;
  if (!range.open_least && !range.open_most) return fmt::format("of {} to {}", range.least, range.most);
  return fmt::format("{} and {} {}", least, range.open_most ? "below" : "at most", range.most);
}

std::string number_in_words(const Option& option) {
  return (option.kind == OptionKind::kWhole ? "whole number " : "number ") + range_in_words(option.range);
}

// NaN is in no range.
bool is_within(const OptionRange& range, double number) {
  const bool above = range.open_least ? number > range.least : number >= range.least;
  return above && (range.open_most ? number < range.most : number <= range.most);
}

ConfigValue checked_number(const Option& option, double number, std::string_view shown) {
  const bool whole = option.kind == OptionKind::kWhole;
  const bool stands_for_default = option.zero_is_default && number == 0.0;
  const bool fits = is_within(option.range, number) && (!whole || number == std::floor(number));
  if (number > OptionRange::kUnbounded && option.range.most == OptionRange::kUnbounded) {
    throw Error("{} is {}: it must be at most {}", shown, number, OptionRange::kUnbounded);
  }
  if (!fits && !stands_for_default) throw Error("{} is {}: it must be {}", shown, number, expected(option));
  if (whole) return static_cast<std::int64_t>(number);
  return number + 0.0;  // -0 is 0
}

// A list that is longer is not told in one line.
bool names_its_choices(const Option& option) {
  constexpr std::size_t kMostNamed = 8;
  return !option.choices.empty() && option.choices.size() <= kMostNamed;
}

std::string values_in_words(const Option& option) {
  if (option.kind == OptionKind::kBoolean) return "true, false";
  if (names_its_choices(option)) return fmt::format("{}", fmt::join(option.choices, ", "));
  return option.kind == OptionKind::kText ? "name" : number_in_words(option);
}

std::string meaning_of(const Option& option) {
  std::string text(option.help);
  if (!option.only_with) return text;
  return text + fmt::format("; only with {} {}", option.only_with->option, plain_text(option.only_with->value));
}

}  // namespace

std::string_view group_name(OptionGroup group) {
  switch (group) {
    case OptionGroup::kTask: return "Task";
    case OptionGroup::kModel: return "Model";
    case OptionGroup::kTraining: return "Training";
    case OptionGroup::kExecution: return "How it is done (not part of what a run is)";
  }
  return "";
}

std::span<const Option> options() { return whole_table(); }

std::span<const Option> defining_options() {
  const auto first = std::ranges::find(whole_table(), OptionGroup::kExecution, &Option::group);
  return {whole_table().begin(), first};
}

bool trains_transformer(std::string_view task) { return task != kRegression; }

const Option* find_option(std::span<const Option> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Option::name);
  return found == table.end() ? nullptr : &*found;
}

const OptionDefault* default_of(const Option& option, std::string_view task) {
  for (const std::string_view wanted : {task, kEveryTask}) {
    const auto found = std::ranges::find(option.defaults, wanted, &OptionDefault::task);
    if (found != option.defaults.end()) return &*found;
  }
  return nullptr;
}

std::string key_of(const Option& option) { return with('-', option.name); }
std::string flag_of(const Option& option) { return "--" + key_of(option); }

ConfigValue value_of(const Option& option, std::string_view typed, std::string_view shown) {
  if (option.kind == OptionKind::kText) return checked(option, std::string(typed), shown);
  if (option.kind == OptionKind::kBoolean && (typed == "true" || typed == "false")) return typed == "true";
  const std::string text(typed);
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const bool is_number = option.kind != OptionKind::kBoolean && !text.empty() && *end == '\0';
  if (!is_number) throw Error("{} is \"{}\": it must be {}", shown, text, expected(option));
  return checked_number(option, number, shown);
}

ConfigValue checked(const Option& option, const ConfigValue& value, std::string_view shown) {
  const auto* text = std::get_if<std::string>(&value);
  if (option.kind == OptionKind::kText && text != nullptr) {
    const bool known = option.choices.empty() || std::ranges::find(option.choices, *text) != option.choices.end();
    if (!known) throw Error("{}: {}", shown, unknown_name(with(' ', option.name), *text, option.choices));
    return value;
  }
  if (option.kind == OptionKind::kBoolean && std::holds_alternative<bool>(value)) return value;
  if (option.kind == OptionKind::kWhole || option.kind == OptionKind::kNumber) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) {
      return checked_number(option, static_cast<double>(*whole), shown);
    }
    if (const auto* number = std::get_if<double>(&value)) return checked_number(option, *number, shown);
  }
  throw Error("{} holds {}, expected {}", shown, kind_of(value), expected(option));
}

std::string expected(const Option& option) {
  switch (option.kind) {
    case OptionKind::kText: return "a string";
    case OptionKind::kBoolean: return "true or false";
    case OptionKind::kWhole: break;
    case OptionKind::kNumber: return "a finite " + number_in_words(option);
  }
  return fmt::format("a {}{}", number_in_words(option), option.zero_is_default ? ", or 0 for the task's default" : "");
}

std::string defaults_in_words(const Option& option) {
  std::vector<std::string> values;  // in the order of the table
  std::map<std::string, std::vector<std::string_view>> tasks;
  for (const OptionDefault& one : option.defaults) {
    std::string value = plain_text(one.value);
    if (value.empty()) value = "none";
    if (std::ranges::find(values, value) == values.end()) values.push_back(value);
    if (one.task != kEveryTask) tasks[value].push_back(one.task);
  }
  std::vector<std::string> texts;
  for (const std::string& value : values) {
    const auto of = tasks.find(value);
    texts.push_back(of == tasks.end() ? value : fmt::format("{} ({})", value, fmt::join(of->second, ", ")));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string help_of(const Option& option) {
  std::string text = meaning_of(option);
  if (names_its_choices(option)) text += fmt::format(": {}", fmt::join(option.choices, ", "));
  return fmt::format("{}. Default {}", text, defaults_in_words(option));
}

std::vector<std::vector<std::string>> option_table() {
  std::vector<std::vector<std::string>> rows{{"option", "values", "default", "what it is"}};
  for (const Option& option : options()) {
    rows.push_back({flag_of(option), values_in_words(option), defaults_in_words(option), meaning_of(option)});
  }
  return rows;
}

}  // namespace polariscope::runs
