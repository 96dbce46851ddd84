#include "polariscope/runs/settings.h"

#include "polariscope/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace polariscope::runs {
namespace {

const ConfigValue* find_value(const NamedValues& values, std::string_view name) {
  const auto found = std::ranges::find(values, name, &NamedValue::name);
  return found == values.end() ? nullptr : &found->value;
}

// Of a table without tasks, as tests have them, it is the task of every option.
std::string task_of(std::span<const Option> table, const NamedValues& given) {
  if (const ConfigValue* task = find_value(given, "task")) return std::get<std::string>(*task);
  const Option* option = find_option(table, "task");
  return option == nullptr ? std::string(kEveryTask) : std::get<std::string>(option->defaults.front().value);
}

bool holds(std::span<const Option> table, const OptionCondition& condition, std::string_view task,
           const NamedValues& given) {
  if (const ConfigValue* value = find_value(given, condition.option)) return *value == condition.value;
  const OptionDefault* usual = default_of(*find_option(table, condition.option), task);
  return usual != nullptr && usual->value == condition.value;
}

}  // namespace

std::string objection(std::span<const Option> table, const Option& option, const ConfigValue& value,
                      const NamedValues& given) {
  const std::string task = task_of(table, given);
  const OptionDefault* usual = default_of(option, task);
  if (usual == nullptr) {
    std::vector<std::string_view> tasks;
    for (const OptionDefault& one : option.defaults) tasks.push_back(one.task);
    return fmt::format(" has no meaning for {}, only for {}", task, fmt::join(tasks, " and "));
  }
  if (!option.only_with || value == option.only_with->otherwise) return "";
  const OptionCondition& condition = *option.only_with;
  if (holds(table, condition, task, given)) return "";
  return fmt::format(" has no meaning without {} {}, it is {} then", condition.option, plain_text(condition.value),
                     plain_text(condition.otherwise));
}

NamedValues with_defaults(std::span<const Option> table, const NamedValues& given) {
  const std::string task = task_of(table, given);
  NamedValues values;
  for (const Option& option : table) {
    const ConfigValue* value = find_value(given, option.name);
    const OptionDefault* usual = default_of(option, task);
    const bool zero = value != nullptr && option.zero_is_default && *value == ConfigValue(std::int64_t{0});
    if (value != nullptr && !(zero && usual != nullptr)) {
      values.push_back({std::string(option.name), *value});
    } else if (usual != nullptr) {
      const bool applies = !option.only_with || holds(table, *option.only_with, task, given);
      values.push_back({std::string(option.name), applies ? usual->value : option.only_with->otherwise});
    }
  }
  return values;
}

Settings::Settings(const NamedValues& given, std::string (*shown)(const Option&))
    : values_(with_defaults(options(), given)) {
  for (const NamedValue& one : given) {
    const Option& option = *find_option(options(), one.name);
    const std::string why = objection(options(), option, one.value, given);
    if (!why.empty()) throw Error("{}{}: leave it out", shown(option), why);
  }
}

std::string Settings::toml() const {
  std::string text;
  for (const Option& option : defining_options()) {
    const ConfigValue* value = find(option.name);
    const bool means = value != nullptr && (!option.only_with || holds(options(), *option.only_with, "", values_));
    if (!means) continue;
    const bool number = option.kind == OptionKind::kNumber;  // 2.0 is 2: the table says its kind
    text += fmt::format("{} = {}\n", key_of(option), number ? plain_text(*value) : toml_text(*value));
  }
  return text;
}

const ConfigValue* Settings::find(std::string_view name) const {
  if (find_option(options(), name) == nullptr) throw std::logic_error("no option " + std::string(name));
  return find_value(values_, name);
}

}  // namespace polariscope::runs
