// A model's config as typed values, with a record of which keys were asked for: one that nobody asked for may change
// results, so it is refused by name.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

// Every getter throws Error, with the key and where it stands, for a value of another kind; a null is as good as no
// value. Infinities may be numbers, "Infinity" or {"__float__": "Infinity"}, as transformers writes them.
class ConfigReader {
 public:
  // `config` must outlive this and all objects of it. `where`: the file, for errors. `prefix` stands before all keys
  // (GGUF: "llama.").
  ConfigReader(const nlohmann::json& config, std::string where, std::string prefix = "");

  // `key` may also be spelt `other` (attribute_map of transformers).
  void also(std::string_view key, std::string_view other);

  bool has(std::string_view key) const;      // with a value
  bool written(std::string_view key) const;  // maybe as null
  std::int64_t integer(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise) const;
  std::optional<std::int64_t> maybe_integer(std::string_view key) const;
  // A size: from 1 to 2^31.
  std::int64_t size(std::string_view key) const;
  std::int64_t size(std::string_view key, std::int64_t otherwise) const;
  std::optional<std::int64_t> maybe_size(std::string_view key) const;
  double number(std::string_view key) const;
  double number(std::string_view key, double otherwise) const;
  std::optional<double> maybe_number(std::string_view key) const;
  bool flag(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view otherwise) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;
  // Throws Error where the key is missing or no object.
  ConfigReader object(std::string_view key) const;

  // A key that would change results if it had another value than the one that is understood.
  void only(std::string_view key, bool value) const;
  void only_text(std::string_view key, std::string_view value) const;
  // Keys that change no result, in this object or any inside. One that ends in * stands for all that begin so.
  void ignore(std::span<const std::string_view> keys) const;

  // Throws Error for the first key that was neither asked for nor ignored, with the nearest known one.
  void check_all_read() const;

  // The start of a sentence about a key: `config.json: "rope_scaling.factor"`.
  std::string at(std::string_view key) const;
  const std::string& where() const { return where_; }

 private:
  struct Record;  // shared with the objects inside
  ConfigReader(const ConfigReader& parent, const nlohmann::json& object, const std::string& prefix);
  const nlohmann::json* find(std::string_view key) const;  // null where missing or null
  const nlohmann::json& need(std::string_view key) const;
  std::int64_t as_integer(const nlohmann::json& value, const std::string& place) const;
  double as_number(const nlohmann::json& value, const std::string& place) const;

  const nlohmann::json* config_;
  std::string where_, prefix_, path_;
  std::map<std::string, std::string, std::less<>> spellings_;
  std::shared_ptr<Record> record_;
};

}  // namespace polariscope::models
