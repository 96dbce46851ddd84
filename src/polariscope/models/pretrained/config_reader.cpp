#include "polariscope/models/pretrained/config_reader.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::models {
namespace {

// Products of three sizes of a model fit into 63 bits.
constexpr std::int64_t kLargestSize = std::int64_t{1} << 31;

// A value as a reader of the file would recognise it, cut short.
std::string shown(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace

struct ConfigReader::Record {
  std::set<std::string, std::less<>> known;    // full paths that were asked for
  std::set<std::string, std::less<>> entered;  // full paths of objects that were asked for by their keys
  std::set<std::string, std::less<>> ignored;  // keys, in whatever object
  std::vector<std::string> beginnings;         // of such keys
};

ConfigReader::ConfigReader(const nlohmann::json& config, std::string where, std::string prefix)
    : config_(&config), where_(std::move(where)), prefix_(std::move(prefix)), record_(std::make_shared<Record>()) {
  if (!config.is_object()) throw Error("{}: expected an object of keys and values, found {}", where_, shown(config));
}

ConfigReader::ConfigReader(const ConfigReader& parent, const nlohmann::json& object, const std::string& prefix)
    : config_(&object), where_(parent.where_), path_(prefix), record_(parent.record_) {}

void ConfigReader::also(std::string_view key, std::string_view other) { spellings_[std::string(key)] = other; }

std::string ConfigReader::at(std::string_view key) const {
  return where_ + ": \"" + path_ + prefix_ + std::string(key) + "\"";
}

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  std::string name = prefix_ + std::string(key);
  record_->known.insert(path_ + name);
  auto found = config_->find(name);
  if (const auto other = spellings_.find(key); other != spellings_.end()) {
    record_->known.insert(path_ + other->second);
    if (found == config_->end()) found = config_->find(other->second);
  }
  return found == config_->end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::json& ConfigReader::need(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) throw Error("{} is missing", at(key));
  return *value;
}

std::int64_t ConfigReader::as_integer(const nlohmann::json& value, const std::string& place) const {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
    throw Error("{} is {}, too large for an integer", place, shown(value));
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  // Whole floating-point numbers: 4096.0 is what some conversions write.
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 0x1p53 && std::trunc(number) == number) return static_cast<std::int64_t>(number);
  }
  throw Error("{}: expected an integer, found {}", place, shown(value));
}

double ConfigReader::as_number(const nlohmann::json& value, const std::string& place) const {
  if (value.is_number()) return value.get<double>();
  const auto tagged = value.is_object() ? value.find("__float__") : value.end();
  const nlohmann::json& inner = value.is_object() && tagged != value.end() ? *tagged : value;
  if (inner.is_string()) {
    const auto& text = inner.get_ref<const std::string&>();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  throw Error("{}: expected a number, found {}", place, shown(value));
}

bool ConfigReader::has(std::string_view key) const { return find(key) != nullptr; }

bool ConfigReader::written(std::string_view key) const {
  find(key);
  return config_->contains(prefix_ + std::string(key));
}

std::int64_t ConfigReader::integer(std::string_view key) const { return as_integer(need(key), at(key)); }

std::int64_t ConfigReader::integer(std::string_view key, std::int64_t otherwise) const {
  return maybe_integer(key).value_or(otherwise);
}

std::optional<std::int64_t> ConfigReader::maybe_integer(std::string_view key) const {
  const nlohmann::json* value = find(key);
  return value == nullptr ? std::nullopt : std::optional(as_integer(*value, at(key)));
}

std::int64_t ConfigReader::size(std::string_view key) const {
  need(key);
  return *maybe_size(key);
}

std::int64_t ConfigReader::size(std::string_view key, std::int64_t otherwise) const {
  return maybe_size(key).value_or(otherwise);
}

std::optional<std::int64_t> ConfigReader::maybe_size(std::string_view key) const {
  const std::optional<std::int64_t> value = maybe_integer(key);
  if (value && (*value < 1 || *value > kLargestSize)) {
    throw Error("{} is {}: a size is from 1 to 2^31", at(key), *value);
  }
  return value;
}

double ConfigReader::number(std::string_view key) const { return as_number(need(key), at(key)); }

double ConfigReader::number(std::string_view key, double otherwise) const {
  return maybe_number(key).value_or(otherwise);
}

std::optional<double> ConfigReader::maybe_number(std::string_view key) const {
  const nlohmann::json* value = find(key);
  return value == nullptr ? std::nullopt : std::optional(as_number(*value, at(key)));
}

bool ConfigReader::flag(std::string_view key, bool otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) throw Error("{}: expected true or false, found {}", at(key), shown(*value));
  return value->get<bool>();
}

std::string ConfigReader::text(std::string_view key) const {
  const nlohmann::json& value = need(key);
  if (!value.is_string()) throw Error("{}: expected a text, found {}", at(key), shown(value));
  return value.get<std::string>();
}

std::string ConfigReader::text(std::string_view key, std::string_view otherwise) const {
  return has(key) ? text(key) : std::string(otherwise);
}

std::vector<double> ConfigReader::numbers(std::string_view key) const {
  const nlohmann::json& value = need(key);
  if (!value.is_array()) throw Error("{}: expected a list of numbers, found {}", at(key), shown(value));
  std::vector<double> found;
  for (const auto& entry : value) found.push_back(as_number(entry, at(key)));
  return found;
}

std::vector<std::int64_t> ConfigReader::integers(std::string_view key) const {
  const nlohmann::json& value = need(key);
  if (!value.is_array()) throw Error("{}: expected a list of integers, found {}", at(key), shown(value));
  std::vector<std::int64_t> found;
  for (const auto& entry : value) found.push_back(as_integer(entry, at(key)));
  return found;
}

std::vector<std::string> ConfigReader::texts(std::string_view key) const {
  const nlohmann::json& value = need(key);
  if (!value.is_array()) throw Error("{}: expected a list of texts, found {}", at(key), shown(value));
  std::vector<std::string> found;
  for (const auto& entry : value) {
    if (!entry.is_string()) throw Error("{}: expected a list of texts, found {} in it", at(key), shown(entry));
    found.push_back(entry.get<std::string>());
  }
  return found;
}

ConfigReader ConfigReader::object(std::string_view key) const {
  const nlohmann::json& value = need(key);
  if (!value.is_object()) throw Error("{}: expected an object of keys and values, found {}", at(key), shown(value));
  const std::string path = path_ + prefix_ + std::string(key);
  record_->entered.insert(path);
  return {*this, value, path + "."};
}

void ConfigReader::only(std::string_view key, bool value) const {
  if (flag(key, value) != value) {
    throw Error("{} is {}: only {} is understood", at(key), !value, value);
  }
}

void ConfigReader::only_text(std::string_view key, std::string_view value) const {
  if (const std::string found = text(key, value); found != value) {
    throw Error("{} is \"{}\": only \"{}\" is understood", at(key), found, value);
  }
}

void ConfigReader::ignore(std::span<const std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (key.ends_with('*')) {
      record_->beginnings.emplace_back(key.substr(0, key.size() - 1));
    } else {
      record_->ignored.emplace(key);
    }
  }
}

void ConfigReader::check_all_read() const {
  std::vector<std::string_view> known(record_->known.begin(), record_->known.end());
  known.insert(known.end(), record_->ignored.begin(), record_->ignored.end());
  for (const auto& [key, value] : config_->items()) {
    const std::string path = path_ + key;
    if (record_->entered.contains(path)) {
      ConfigReader(*this, value, path + ".").check_all_read();
      continue;
    }
    const auto begins = [&name = key](const std::string& beginning) { return name.starts_with(beginning); };
    if (value.is_null() || record_->known.contains(path) || record_->ignored.contains(key)) continue;
    if (std::any_of(record_->beginnings.begin(), record_->beginnings.end(), begins)) continue;
    const std::string near = nearest_name(path, known);
    throw Error("{}: the key \"{}\" (= {}) is not understood and may change results{}", where_, path, shown(value),
                near.empty() ? "" : ": the nearest known one is \"" + near + "\"");
  }
}

}  // namespace polariscope::models
