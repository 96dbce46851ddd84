#include "polariscope/runs/options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/runs/internal/option_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

namespace polariscope::runs {
namespace {

const std::vector<Option>& whole_table() {
  static const std::vector<Option> kTable = option_rows();
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
