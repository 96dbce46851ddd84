#include "training_options.h"

#include "polariscope/base/error.h"

#include <filesystem>
#include <utility>
#include <variant>

namespace polariscope::cli {
namespace {

const char* type_of(const runs::Option& option) {
  switch (option.kind) {
    case runs::OptionKind::kText: return "NAME";
    case runs::OptionKind::kWhole: return "N";
    case runs::OptionKind::kNumber: return "X";
    case runs::OptionKind::kBoolean: return "true|false";
  }
  return "";
}

void declare(CLI::App& command, const runs::Option& option) {
  const auto problem = [&option](const std::string& typed) -> std::string {
    try {
      runs::value_of(option, typed, runs::flag_of(option));
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  command
      .add_option_function<std::string>(
          runs::flag_of(option), [](const std::string&) {}, runs::help_of(option))
      ->type_name(type_of(option))
      ->group(std::string(runs::group_name(option.group)))
      ->check(CLI::Validator(problem, ""));
}

}  // namespace

void declare_options(CLI::App& command, std::span<const runs::Option> table) {
  for (const runs::Option& option : table) declare(command, option);
}

ConfigValue typed_value(const runs::Option& option, const std::string& typed, std::string_view shown) {
  ConfigValue value = runs::value_of(option, typed, shown);
  if (auto* path = std::get_if<std::string>(&value); option.path && path != nullptr && std::filesystem::exists(*path)) {
    *path = std::filesystem::absolute(*path).lexically_normal().string();
  }
  return value;
}

runs::NamedValues given_options(const CLI::App& command, std::span<const runs::Option> table) {
  runs::NamedValues given;
  for (const runs::Option& option : table) {
    const std::string flag = runs::flag_of(option);
    const CLI::Option* typed = command.get_option(flag);
    if (typed->count() == 0) continue;
    given.push_back({std::string(option.name), typed_value(option, typed->results().front(), flag)});
  }
  return given;
}

}  // namespace polariscope::cli
