#include "settings.h"

#include "polariscope/base/config.h"
#include "polariscope/base/error.h"

#include <algorithm>
#include <cmath>

namespace polariscope::cli {
namespace {

// Long names of the options that a file may set.
std::vector<CLI::Option*> settable(CLI::App& command) {
  std::vector<CLI::Option*> options;
  for (CLI::Option* option : command.get_options()) {
    const std::string name = option->get_single_name();
    if (name != "help" && name != "config" && name != "examples") options.push_back(option);
  }
  return options;
}

// Keys may be written with either: TOML's habit is the underscore, the command line's the dash.
std::string with(char joint, std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '_'; }, joint);
  return name;
}

bool is_flag(const CLI::Option& option) { return option.get_expected_max() == 0; }

// TOML needs quotes around what is neither a number nor a boolean. A number is written in one way however
// it was typed (1e6, 1000000), so that equal runs have equal files.
std::string toml_value(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  const bool number = !text.empty() && *end == '\0' && text.find_first_not_of("+-.0123456789e") == std::string::npos;
  if (number && std::isfinite(std::strtod(text.c_str(), nullptr))) {
    return fmt::format("{}", std::strtod(text.c_str(), nullptr));
  }
  if (text == "true" || text == "false") return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

void apply_config(CLI::App& command, const std::string& path) {
  const Config config = Config::read(path);
  const std::vector<CLI::Option*> options = settable(command);
  std::vector<std::string> names{"command"};
  for (const char joint : {'-', '_'}) {
    for (const CLI::Option* option : options) names.push_back(with(joint, option->get_single_name()));
  }
  config.refuse_unknown({names.begin(), names.end()});

  for (const auto& entry : config.values()) {
    const auto& [key, values] = entry;
    if (key == "command") {
      if (values != std::vector{command.get_name()}) {
        throw Error("{}: command is \"{}\", expected \"{}\"", path, values.empty() ? "" : values.front(),
                    command.get_name());
      }
      continue;
    }
    CLI::Option* option = *std::find_if(options.begin(), options.end(),
                                        [&](CLI::Option* o) { return o->get_single_name() == with('-', entry.first); });
    if (option->count() > 0) continue;  // the command line wins
    if (is_flag(*option)) {
      if (values == std::vector<std::string>{"false"}) continue;
      if (values != std::vector<std::string>{"true"}) throw Error("{}: {} must be true or false", path, key);
    }
    try {
      for (const std::string& value : values) option->add_result(value);
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      throw Error("{}: {} = {}: {}", path, key, values.empty() ? "" : values.front(), error.what());
    }
  }
}

std::string config_text(const CLI::App& command, const std::vector<std::string_view>& left_out) {
  std::string text = fmt::format("command = \"{}\"\n", command.get_name());
  for (const CLI::Option* option : settable(const_cast<CLI::App&>(command))) {
    const std::string name = option->get_single_name();
    if (std::find(left_out.begin(), left_out.end(), name) != left_out.end()) continue;
    if (is_flag(*option)) {
      if (option->count() > 0) text += fmt::format("{} = true\n", name);
      continue;
    }
    const std::string value = option->count() > 0 ? option->results().front() : option->get_default_str();
    if (!value.empty()) text += fmt::format("{} = {}\n", name, toml_value(value));
  }
  return text;
}

long long whole_number(std::string_view option, double value, double least, double most) {
  if (value != std::floor(value)) throw Error("{} is {}: it must be a whole number", option, value);
  if (value > most) throw Error("{} is {}: it must be at most {}", option, value, most);
  if (value < least) {
    if (most == kLargestWhole) throw Error("{} is {}: it must be at least {}", option, value, least);
    throw Error("{} is {}: it must lie between {} and {}", option, value, least, most);
  }
  return static_cast<long long>(value);
}

void require_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const bool name = option->get_positional() || option->get_type_name() == "NAME";
    if (!name && option->count() > 0 && option->results().front().empty()) {
      throw Error("{} is empty: it needs a value", option->get_name());
    }
  }
}

}  // namespace polariscope::cli
