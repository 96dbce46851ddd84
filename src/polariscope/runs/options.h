// What a training can be told: every option of every task, in one table. `polariscope train` has a flag for each row, a
// grid of a sweep a key, config.toml a line, `polariscope list options` and docs/training.md a row. A new kind of
// training adds its task, its rows, and its defaults to the rows that it shares.
#pragma once

#include "polariscope/base/config.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::runs {

enum class OptionKind {
  kText,
  kWhole,
  kNumber,
  kBoolean,
};

enum class OptionGroup {
  kTask,
  kModel,
  kTraining,
  kExecution,  // how a run is done and watched, which does not change what it is: in no grid and no config.toml
};
std::string_view group_name(OptionGroup group);

inline constexpr std::string_view kEveryTask = "";

// The option's value where none was given.
struct OptionDefault {
  std::string_view task;  // kEveryTask is for those that have none of their own
  ConfigValue value;
};

// Of a number: finite and in [least, most]; `open_` leaves out the bound itself.
struct OptionRange {
  double least = 0.0, most = kUnbounded;
  bool open_least = false, open_most = false;

  static constexpr double kUnbounded = 9e15;  // doubles hold all whole numbers up to here
};

// The option means something only where another one has a value; elsewhere it is `otherwise`.
struct OptionCondition {
  std::string_view option;
  ConfigValue value, otherwise;
};

struct Option {
  std::string_view name;  // in grids and in C++: "learning_rate"; on the command line it is --learning-rate
  OptionKind kind = OptionKind::kText;
  OptionGroup group = OptionGroup::kTask;
  std::vector<OptionDefault> defaults;  // one for each task that it means something to
  std::string_view help = "";
  std::vector<std::string_view> choices = {};  // of kText: the known ones; empty: any text
  OptionRange range = {};                      // of kWhole and kNumber
  std::optional<OptionCondition> only_with = {};
  bool zero_is_default = false;  // 0 may be given for the task's default
  bool path =
      false;  // of kText: a file's, where there is one: saved as absolute, so that config.toml means it everywhere
};

// All of them, those of kExecution last; and without these: what says what a run is.
std::span<const Option> options();
std::span<const Option> defining_options();

// Whether the task's model is a transformer, which is built and trained with LibTorch.
bool trains_transformer(std::string_view task);

// nullptr where the table has none of that name.
const Option* find_option(std::span<const Option> table, std::string_view name);

// nullptr where the option means nothing to the task.
const OptionDefault* default_of(const Option& option, std::string_view task);

// "--learning-rate", "learning-rate" in config.toml.
std::string flag_of(const Option& option);
std::string key_of(const Option& option);

// The value that is meant by what was typed or read: 1e5 is a whole number, no text is a number. Both throw Error,
// beginning with `shown`, for another kind, an unknown choice and a number out of range.
ConfigValue value_of(const Option& option, std::string_view typed, std::string_view shown);
ConfigValue checked(const Option& option, const ConfigValue& value, std::string_view shown);

// "a whole number of 1 to 4096", "a string".
std::string expected(const Option& option);
// "2 (induction, token-groups), 5 (in-context-regression)".
std::string defaults_in_words(const Option& option);
// For --help: what it is, its choices, what it depends on, and its defaults.
std::string help_of(const Option& option);

// The table for people, heading first: option, values, default, what it is.
std::vector<std::vector<std::string>> option_table();

}  // namespace polariscope::runs
