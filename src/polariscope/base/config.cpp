// TOML is read by toml++ and written here.
#include "polariscope/base/config.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

namespace polariscope {
namespace {

std::string type_of(const toml::node& node) {
  std::ostringstream name;
  name << node.type();
  return name.str();
}

ConfigValue value_of(const toml::node& node, std::string_view where, std::string_view key) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  throw Error(
      "{}, line {}: {} holds a value of type {}, expected a string, number or boolean: write it as one of these", where,
      node.source().begin.line, key, type_of(node));
}

bool is_utf8(std::string_view text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::string in_quotes(std::string_view text) {
  if (!is_utf8(text)) throw Error("\"{}\" is not UTF-8, which a TOML file cannot hold: choose another name", text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

struct Writer {
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(std::int64_t whole) const { return fmt::format("{}", whole); }
  std::string operator()(double number) const {
    std::string text = fmt::format("{}", number);
    return text.find_first_of(".enf") == std::string::npos ? text + ".0" : text;  // 1e-5, nan, inf
  }
  std::string operator()(const std::string& text) const { return in_quotes(text); }
};

}  // namespace

std::string_view kind_of(const ConfigValue& value) {
  if (std::holds_alternative<bool>(value)) return "a boolean";
  return std::holds_alternative<std::string>(value) ? "a string" : "a number";
}

std::string toml_text(const ConfigValue& value) { return std::visit(Writer(), value); }

std::string plain_text(const ConfigValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return toml_text(value);
}

Config Config::read(const std::filesystem::path& path) { return parse(read_file(path), path.string()); }

Config Config::parse(std::string_view toml, std::string_view where) {
  Config config;
  config.where_ = where;
  try {
    for (const auto& [key, node] : toml::parse(toml, where)) {
      const std::string name(key.str());
      config.entries_[name] = {value_of(node, where, name), static_cast<int>(node.source().begin.line)};
    }
  } catch (const toml::parse_error& error) {
    throw Error("{}, line {}, column {}: not TOML ({}): correct that line", where, error.source().begin.line,
                error.source().begin.column, error.description());
  }
  return config;
}

void Config::refuse_unknown(const std::vector<std::string_view>& known) const {
  for (const auto& [key, entry] : entries_) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error("{}, line {}: {}", where_, entry.line, unknown_name("setting", key, known));
    }
  }
}

}  // namespace polariscope
