// Settings from a TOML file, read by toml++.
#include "polariscope/base/config.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

namespace polariscope {
namespace {

std::string kind(const toml::node& node) {
  std::ostringstream name;
  name << node.type();
  return name.str();
}

// Where the sentence of an error begins: "runs.toml, line 3: step".
std::string place(std::string_view where, const toml::node& node, std::string_view key) {
  return fmt::format("{}, line {}: {}", where, node.source().begin.line, key);
}

std::string text_of(const toml::node& node, std::string_view where, std::string_view key) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return fmt::format("{}", integer->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  throw Error("{} holds a value of type {}, expected a string, number, boolean or flat list: write it as one of these",
              place(where, node, key), kind(node));
}

}  // namespace

Config Config::read(const std::filesystem::path& path) { return parse(read_file(path), path.string()); }

Config Config::parse(std::string_view toml, std::string_view where) {
  Config config;
  config.where_ = where;
  try {
    for (const auto& [toml_key, node] : toml::parse(toml, where)) {
      const std::string key(toml_key.str());
      std::vector<std::string>& items = config.values_[key];
      if (const auto* list = node.as_array()) {
        for (const toml::node& item : *list) items.push_back(text_of(item, where, key));
      } else {
        items.push_back(text_of(node, where, key));
      }
    }
  } catch (const toml::parse_error& error) {
    throw Error("{}, line {}, column {}: not TOML ({}): correct that line", where, error.source().begin.line,
                error.source().begin.column, error.description());
  }
  return config;
}

void Config::refuse_unknown(const std::vector<std::string_view>& known) const {
  for (const auto& [key, items] : values_) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error("{}: {}", where_, unknown_name("setting", key, known));
    }
  }
}

}  // namespace polariscope
