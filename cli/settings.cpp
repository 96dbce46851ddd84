#include "settings.h"

#include "polariscope/base/config.h"
#include "polariscope/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <map>

namespace polariscope::cli {
namespace {

// The options that a file may set.
std::vector<CLI::Option*> settable(CLI::App& command) {
  std::vector<CLI::Option*> options;
  for (CLI::Option* option : command.get_options()) {
    const std::string name = option->get_single_name();
    if (name != "help" && name != "config" && !option->get_positional()) options.push_back(option);
  }
  return options;
}

enum class Kind { kSwitch, kNumber, kBoolean, kPath, kText };

Kind kind_of(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return Kind::kSwitch;
  const std::string type = option.get_type_name();
  if (type == "N" || type == "X" || type == "T") return Kind::kNumber;
  if (type == "true|false") return Kind::kBoolean;
  return type == "FILE" || type == "FOLDER" ? Kind::kPath : Kind::kText;
}

// Keys may be written with either: TOML's habit is the underscore, the command line's the dash.
std::string with_dashes(std::string name) {
  std::ranges::replace(name, '_', '-');
  return name;
}

void refuse_unknown(const Config& config, const std::vector<CLI::Option*>& options) {
  std::vector<std::string> names{"command"};
  for (const CLI::Option* option : options) names.push_back(option->get_single_name());
  for (const CLI::Option* option : options) {
    std::string underscored = option->get_single_name();
    std::ranges::replace(underscored, '-', '_');
    if (std::ranges::find(names, underscored) == names.end()) names.push_back(std::move(underscored));
  }
  config.refuse_unknown({names.begin(), names.end()});
}

// The value as the parser takes it from a command line.
std::string text_of(Kind kind, const ConfigValue& value, const std::filesystem::path& folder,
                    const std::string& place) {
  const bool boolean = std::holds_alternative<bool>(value), text = std::holds_alternative<std::string>(value);
  switch (kind) {
    case Kind::kSwitch:
    case Kind::kBoolean:
      if (!boolean) throw Error("{} holds {}: it must be true or false", place, toml_text(value));
      break;
    case Kind::kNumber:
      if (boolean || text) throw Error("{} holds {}: it must be a number", place, toml_text(value));
      break;
    case Kind::kPath:
    case Kind::kText:
      if (!text) throw Error("{} holds {}: it must be a string, in quotes", place, toml_text(value));
  }
  const std::string typed = plain_text(value);
  return kind == Kind::kPath && !typed.empty() ? (folder / typed).string() : typed;
}

// The path as seen from `folder`, whichever folder the program runs in; one that is absolute stays what it is. Links
// are followed in folders only: a file may be one on purpose.
std::string seen_from(const std::filesystem::path& folder, const std::string& typed) {
  const std::filesystem::path path = typed;
  if (path.is_absolute()) return typed;
  const auto parent = weakly_canonical(absolute(path).parent_path());
  return (parent / path.filename()).lexically_relative(weakly_canonical(absolute(folder))).generic_string();
}

}  // namespace

void apply_config(CLI::App& command, const std::string& path) {
  const Config config = Config::read(path);
  const std::vector<CLI::Option*> options = settable(command);
  refuse_unknown(config, options);
  std::map<std::string, std::string> keys;  // by option
  for (const auto& [key, entry] : config.entries()) {
    const std::string place = fmt::format("{}, line {}: {}", path, entry.line, key);
    if (key == "command") {
      if (entry.value != ConfigValue(command.get_name())) {
        throw Error("{} is {}, expected \"{}\"", place, toml_text(entry.value), command.get_name());
      }
      continue;
    }
    const std::string name = with_dashes(key);
    if (const auto [other, is_new] = keys.emplace(name, key); !is_new) {
      throw Error("{} is the same setting as {}: keep one of them", place, other->second);
    }
    CLI::Option& option = **std::ranges::find(options, name, [](CLI::Option* o) { return o->get_single_name(); });
    const std::string text = text_of(kind_of(option), entry.value, std::filesystem::path(path).parent_path(), place);
    if (option.count() > 0) continue;  // the command line wins
    if (kind_of(option) == Kind::kSwitch && text == "false") continue;
    try {
      option.add_result(text);
      option.run_callback();
    } catch (const CLI::ValidationError& error) {
      throw Error("{}, line {}: {}", path, entry.line, value_problem(error));
    } catch (const CLI::ParseError& error) {
      throw Error("{} = {}: {}", place, text, error.what());
    }
  }
}

std::string config_text(const CLI::App& command, const std::vector<std::string_view>& left_out,
                        const std::filesystem::path& folder) {
  std::string text = fmt::format("command = \"{}\"\n", command.get_name());
  for (const CLI::Option* option : settable(const_cast<CLI::App&>(command))) {
    const std::string name = option->get_single_name();
    if (std::ranges::find(left_out, name) != left_out.end()) continue;
    const std::string value = option->count() > 0 ? option->results().front() : option->get_default_str();
    const auto put = [&](const std::string& written) { text += fmt::format("{} = {}\n", name, written); };
    switch (kind_of(*option)) {
      case Kind::kSwitch:
        if (option->count() > 0) put("true");
        break;
      // In one way however it was typed (1e6, 1000000), so that equal runs have equal files.
      case Kind::kNumber:
        if (!value.empty()) put(fmt::format("{}", std::strtod(value.c_str(), nullptr)));
        break;
      case Kind::kBoolean: put(value); break;
      case Kind::kPath:
        if (!value.empty()) put(toml_text(seen_from(folder, value)));
        break;
      case Kind::kText:
        if (!value.empty()) put(toml_text(value));
    }
  }
  return text;
}

// It says "--width: " before what the validator says.
std::string value_problem(const CLI::ValidationError& error) {
  const std::string words = error.what();
  return words.substr(words.find(": ") + 2);
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

std::int64_t bytes_in(std::string_view text) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},
                             {"KIB", 0x1p10}, {"MIB", 0x1p20}, {"GIB", 0x1p30}, {"TIB", 0x1p40}};
  double number = 0.0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  std::erase(unit, ' ');
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const auto known = std::ranges::find(kUnits, std::string_view(unit), &Unit::name);
  const double bytes = known == std::end(kUnits) ? 0.0 : number * known->bytes;
  if (problem != std::errc() || !(bytes >= 1.0) || bytes > kLargestWhole) {
    throw Error("\"{}\" is no amount of memory: expected a number with KB, MB, GB, KiB, MiB or GiB, as in 4GiB", text);
  }
  return static_cast<std::int64_t>(bytes);
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
